import { createMiddleware } from "hono/factory";
import { ApiError } from "../../shared/errors/problem.ts";
import type { EdgeContext, EdgeHono } from "../context.ts";
import { isToken } from "./token-directory.ts";

/**
 * For what concerns a tenant as a whole: its end users, for whom tokens speak, may not decide on that.
 * @throws ApiError insufficient_scope for a caller that came by token
 */
export function refuseTokens(c: EdgeContext): void {
  if (!isToken(c.get("caller").apiKey)) return;
  throw new ApiError("insufficient_scope", "An API key is needed for this; a token will not do.");
}

/** Lets only callers with an API key pass; after requireScope. */
export const requireApiKey = createMiddleware<EdgeHono>(async (c, next) => {
  refuseTokens(c);
  await next();
});
