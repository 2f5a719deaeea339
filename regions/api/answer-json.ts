import type { Context } from "hono";
import type { ApiEnv } from "./api-context.ts";
import { commonHeaders } from "./common-headers.ts";

/**
 * A JSON answer that has what identifyRequests adds to every answer from the start: for calls that come by the thousand, since adding
 * it to an answer takes a Headers object, which costs several times as much as all the rest.
 */
export function answerJson(c: Context<ApiEnv>, body: unknown, status: number): Response {
  c.set("isHeaded", true);
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json", ...commonHeaders(c.get("requestId")) },
  });
}
