import type { MiddlewareHandler } from "hono";
import type { KeyRecord, Scope } from "../../shared/contracts/api-key.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { traceOf, type EdgeContext, type EdgeHono } from "../context.ts";
import type { EdgeServices } from "../services.ts";
import { isToken } from "./token-directory.ts";

type Parts = Pick<
  EdgeServices,
  "keys" | "tokens" | "strangers" | "revocations" | "router" | "gate"
>;

/**
 * Lets a request in that has a good API key, or a token of its tenant's issuer, with the scope, or one of them, and that its
 * tenant's limits permit. The steps, and why in this order:
 *
 * 1. The form of the credential, with a key's checksum: costs nothing, and turns typing errors and noise away.
 * 2. Its record, or its signature: from here on we know who calls. Only a stranger's request can end before, and how many
 *    strangers of one network are looked up is bounded (strangers.ts).
 * 3. Revocation and expiry: by the list that is seconds old, which no cached record can overrule.
 * 4. The tenant's limits: before anything that costs; and after 3, so that a key that was stolen and revoked uses nothing up.
 *    Before the scope, so that requests which may not do what they ask for count too.
 * 5. The scope.
 *
 * Only then the handler reads the body, up to its limit: a stranger makes the edge read nothing.
 * Of the client's headers none is passed on: requests to regions are made anew (sign-region-request.ts). So a forged
 * `x-antiphon-…`, `x-forwarded-…` or `forwarded` reaches nobody, and a doubled header fails the form that it must have here.
 * @throws ApiError unauthenticated | invalid_api_key | invalid_token | revoked_api_key | expired_api_key | rate_limited |
 *   too_many_in_flight | insufficient_scope | dependency_unavailable
 */
export function requireScope(
  services: Parts,
  scope: Scope | readonly Scope[],
  now: () => number = Date.now,
): MiddlewareHandler<EdgeHono> {
  const { gate } = services;
  const anyOf = [scope].flat() as Scope[];
  return async (c, next) => {
    const credential = /^Bearer +(\S{1,8192})$/i.exec(c.req.header("authorization") ?? "")?.[1];
    if (credential === undefined) throw new ApiError("unauthenticated");
    const key = await findCaller(services, c, credential);
    if (key.revoked_at !== null || (await services.revocations.isRevoked(key.key_id))) {
      throw new ApiError("revoked_api_key");
    }
    if (key.expires_at !== null && Date.parse(key.expires_at) <= now()) {
      throw new ApiError("expired_api_key");
    }
    c.set("caller", { key, apiKey: credential });
    const pass = await gate.enter(key, (work) => c.executionCtx.waitUntil(work));
    try {
      if (!anyOf.some((each) => key.scopes.includes(each))) {
        throw new ApiError(
          "insufficient_scope",
          `The key lacks the scope "${anyOf.join('" or "')}".`,
        );
      }
      await next();
    } finally {
      pass.leave();
    }
    for (const [name, value] of Object.entries(pass.headers)) c.res.headers.set(name, value);
  };
}

function findCaller(
  { keys, tokens, strangers, router }: Parts,
  c: EdgeContext,
  credential: string,
): Promise<KeyRecord> {
  const candidates = () => router.nearest(c.req.raw);
  const introduce = strangers.from(c.req.header("cf-connecting-ip"));
  return isToken(credential)
    ? tokens.find(credential, candidates, traceOf(c), introduce)
    : keys.find(credential, candidates, traceOf(c), introduce);
}
