import type { MiddlewareHandler } from "hono";
import type { Scope } from "../../shared/contracts/api-key.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { traceOf, type EdgeHono } from "../context.ts";
import type { EdgeServices } from "../services.ts";

/**
 * Lets a request in that has a known, unexpired, unrevoked API key with the scope, or one of them.
 * @throws ApiError unauthenticated | invalid_api_key | revoked_api_key | expired_api_key |
 *   insufficient_scope | dependency_unavailable
 */
export function requireScope(
  { keys, revocations, router }: Pick<EdgeServices, "keys" | "revocations" | "router">,
  scope: Scope | readonly Scope[],
  now: () => number = Date.now,
): MiddlewareHandler<EdgeHono> {
  const anyOf = [scope].flat() as Scope[];
  return async (c, next) => {
    const apiKey = /^Bearer +(\S{1,256})$/i.exec(c.req.header("authorization") ?? "")?.[1];
    if (apiKey === undefined) throw new ApiError("unauthenticated");
    const request = c.req.raw;
    const candidates = () => router.nearest(request);
    const key = await keys.find(apiKey, candidates, traceOf(c));
    if (key.revoked_at !== null || (await revocations.isRevoked(key.key_id))) {
      throw new ApiError("revoked_api_key");
    }
    if (key.expires_at !== null && Date.parse(key.expires_at) <= now()) {
      throw new ApiError("expired_api_key");
    }
    if (!anyOf.some((each) => key.scopes.includes(each))) {
      throw new ApiError(
        "insufficient_scope",
        `The key lacks the scope "${anyOf.join('" or "')}".`,
      );
    }
    c.set("caller", { key, apiKey });
    await next();
  };
}
