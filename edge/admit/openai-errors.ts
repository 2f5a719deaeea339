import type { MiddlewareHandler } from "hono";
import { Problem } from "../../shared/errors/problem.ts";
import type { EdgeHono } from "../context.ts";

/**
 * For calls that OpenAI's clients make: a problem also says what they look for (the member `error`, from which they take
 * the message they show), and whether they are to try again by themselves.
 */
export const explainToOpenAiClients: MiddlewareHandler<EdgeHono> = async (c, next) => {
  await next();
  if (c.res.headers.get("content-type") !== "application/problem+json") return;
  const problem = Problem.parse(await c.res.clone().json());
  const [field] = problem.errors ?? [];
  const error = {
    message: field ? `${problem.detail} ${field.path} ${field.message}` : problem.detail,
    type: problem.status < 500 ? "invalid_request_error" : "server_error",
    param: field?.path ?? null,
    code: problem.code,
  };
  const headers = new Headers(c.res.headers);
  if (!headers.has("x-should-retry")) headers.set("x-should-retry", String(problem.retryable));
  c.res = new Response(JSON.stringify({ ...problem, error }), {
    status: problem.status,
    headers,
  });
};
