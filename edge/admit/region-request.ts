import type { EdgeConfig } from "../env.ts";
import type { EdgeContext } from "../context.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { SIGNATURE_HEADER, verifyLinkRequest } from "../../shared/signing/link-signature.ts";
import { createNonceMemory } from "../../shared/signing/nonce-memory.ts";
import { MAX_INTERNAL_BYTES, parseJson, readText } from "./read-body.ts";

/** A request that a region has signed: which region it was, and its body as JSON. */
export interface RegionRequest {
  region: string;
  body: unknown;
}

/**
 * Reads requests of regions to the edge, and checks their signature, age and nonce. This isolate's memory of nonces is enough where
 * the same request again changes nothing.
 * @throws ApiError unsigned_request, invalid_signature, replayed_request, malformed_json
 */
export function createReadRegionRequest(
  config: Pick<EdgeConfig, "linkSecrets">,
): (c: EdgeContext) => Promise<RegionRequest> {
  const isFresh = createNonceMemory();
  return async (c) => {
    const region = c.req.header("antiphon-region");
    const signature = c.req.header(SIGNATURE_HEADER);
    if (region === undefined || signature === undefined) throw new ApiError("unsigned_request");
    const secrets = Object.hasOwn(config.linkSecrets, region) ? config.linkSecrets[region]! : [];
    const body = await readText(
      c.req.raw as Request & { body: ReadableStream },
      MAX_INTERNAL_BYTES,
    );
    const url = new URL(c.req.url);
    const target = url.pathname + url.search;
    const request = { method: c.req.method, target, body, audience: "edge" };
    await verifyLinkRequest(secrets, request, signature, isFresh);
    return { region, body: parseJson(body) };
  };
}
