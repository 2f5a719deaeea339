import { createMiddleware } from "hono/factory";
import { ApiError } from "../../shared/errors/problem.ts";
import {
  SIGNATURE_HEADER,
  verifyLinkRequest,
  type NonceGuard,
} from "../../shared/signing/link-signature.ts";
import { createNodeHmac } from "../ops/node-hmac.ts";
import type { ApiEnv } from "./api-context.ts";
import { readBounded } from "./read-bounded.ts";

export interface RequireSignatureOptions {
  region: string;
  secrets: readonly string[];
  isFresh: NonceGuard;
  maxBodyBytes?: number;
  /** Unix ms. */
  now?: () => number;
}

/** Lets only requests pass that the edge signed for this region; their body is then in `c.var.body`. */
export function requireSignature(options: RequireSignatureOptions) {
  const { region, secrets, isFresh, maxBodyBytes = 2 ** 20, now = Date.now } = options;
  const hmac = createNodeHmac();

  return createMiddleware<ApiEnv>(async (c, next) => {
    const header = c.req.header(SIGNATURE_HEADER);
    // Before the body: a stranger's megabyte is not worth reading.
    if (!header) throw new ApiError("unsigned_request");
    const body = await readBounded(c.req.raw, maxBodyBytes);
    const { url } = c.req;
    // Path and query as they came, behind scheme and host.
    const target = url.slice(url.indexOf("/", url.indexOf("://") + 3));
    const request = { method: c.req.method, target, body, audience: region };
    await verifyLinkRequest(secrets, request, header, isFresh, now(), hmac);
    c.set("body", body);
    await next();
  });
}
