import type { Context } from "hono";
import type { Actor } from "../store/audit-log.ts";
import type { ApiEnv } from "./api-context.ts";

/** Who asked for an admin act, for the audit log: the caller's key as the edge names it, which has checked what that may do. */
export function actorOf(c: Context<ApiEnv>): Actor {
  const key = c.req.header("x-antiphon-actor") ?? "";
  return { actor: /^key_[\w-]{1,80}$/.test(key) ? key : "edge", requestId: c.var.requestId };
}
