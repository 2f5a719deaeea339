import type { MiddlewareHandler } from "hono";
import { LookupOriginAnswer } from "../../shared/contracts/internal-api.ts";
import { Origin } from "../../shared/contracts/tenant-settings.ts";
import { traceOf, type EdgeContext, type EdgeHono } from "../context.ts";
import { describeError, log } from "../ops/log.ts";
import { z } from "zod";
import type { CallRegion } from "../forward/call-region.ts";
import type { Router } from "../route/candidates.ts";
import { askRegions } from "./ask-regions.ts";
import { createRecordCache } from "./record-cache.ts";

const METHODS = "GET, HEAD, POST, PATCH, DELETE";
/** What pages may send; OpenAI's clients add headers of their own. */
const REQUEST_HEADERS =
  /^(accept|authorization|content-type|idempotency-key|if-none-match|if-range|last-event-id|prefer|range|traceparent|x-request-id|x-antiphon-region|x-stainless-[a-z-]{1,40})$/;
const EXPOSED =
  "content-range, etag, idempotency-replayed, location, preference-applied, ratelimit, ratelimit-policy, retry-after, x-antiphon-cache, x-antiphon-engine, x-antiphon-job, x-antiphon-quality, x-antiphon-region, x-antiphon-sample-rate, x-antiphon-voice, x-request-id";
const MAX_AGE_S = "600";
/** Origins that nobody has asked about yet may be looked up so often in each isolate: anyone can make them up. */
const LOOKUPS_PER_S = 20;

/** Its own signature is the permit, and a browser sends nothing of its own with it: any page may play it. */
const isAudio = (path: string) => /^\/v1\/audio\/[^/]+\/[^/]+\.[^/]+$/.test(path);

export interface CorsParts {
  kv: KVNamespace;
  callRegion: CallRegion;
  router: Router;
  now?: () => number;
}

/**
 * Lets the pages of a tenant's own origins read its answers.
 *
 * A preflight carries no key, so whose page asks is not known yet. It is allowed when the origin is on any tenant's list:
 * that tells no more than that some tenant has such a page, and the answer that follows is only readable where the origin
 * is on the list of the very tenant whose key was sent. No list is a guard against requests: browsers send no key of
 * their own accord (there are no cookies here, and credentials are never allowed), so a page without a key gets nothing,
 * and who has one needs no browser.
 */
export function createCors({
  kv,
  callRegion,
  router,
  now = Date.now,
}: CorsParts): MiddlewareHandler<EdgeHono> {
  const known = createRecordCache(kv, "origin", z.literal(true), now);
  let second = 0;
  let lookUps = 0;

  async function isKnown(c: EdgeContext, origin: string): Promise<boolean> {
    if (!Origin.safeParse(origin).success) return false;
    try {
      const found = await known.get(origin, async () => {
        const at = Math.floor(now() / 1000);
        if (at !== second) [second, lookUps] = [at, 0];
        if (++lookUps > LOOKUPS_PER_S) throw new Error("too many unknown origins at once");
        return askRegions(
          callRegion,
          router.nearest(c.req.raw),
          {
            target: "/internal/origins/lookup",
            body: { origin },
            answer: LookupOriginAnswer,
            trace: traceOf(c),
          },
          (answer) => (answer.known ? true : null),
        );
      });
      return found !== null;
    } catch (error) {
      log("warn", "an origin could not be looked up", { error: describeError(error) });
      return false;
    }
  }

  return async (c, next) => {
    const origin = c.req.header("origin");
    const audio = isAudio(c.req.path);
    const asked = c.req.header("access-control-request-method");
    if (c.req.method === "OPTIONS" && origin !== undefined && asked !== undefined) {
      const headers = new Headers({ vary: "Origin, Access-Control-Request-Headers" });
      if (audio || (await isKnown(c, origin))) {
        const wanted = (c.req.header("access-control-request-headers") ?? "").toLowerCase();
        const allowed = wanted
          .split(",")
          .map((name) => name.trim())
          .filter((name) => REQUEST_HEADERS.test(name));
        headers.set("access-control-allow-origin", audio ? "*" : origin);
        headers.set("access-control-allow-methods", METHODS);
        headers.set("access-control-max-age", MAX_AGE_S);
        if (allowed.length > 0) headers.set("access-control-allow-headers", allowed.join(", "));
      }
      return new Response(null, { status: 204, headers });
    }
    await next();
    if (audio) {
      c.res.headers.set("access-control-allow-origin", "*");
      c.res.headers.set("access-control-expose-headers", EXPOSED);
      return undefined;
    }
    // Also where no origin was sent: a cache must not give that answer to a page.
    c.res.headers.append("vary", "Origin");
    if (origin === undefined) return undefined;
    // A refusal before the caller was known must still be readable, or a page cannot tell why.
    const caller = c.get("caller") as EdgeHono["Variables"]["caller"] | undefined;
    const allowed = caller
      ? (caller.key.cors_origins?.includes(origin) ?? false)
      : c.res.status >= 400 && (await isKnown(c, origin));
    if (allowed) {
      c.res.headers.set("access-control-allow-origin", origin);
      c.res.headers.set("access-control-expose-headers", EXPOSED);
    }
    return undefined;
  };
}
