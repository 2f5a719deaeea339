import type { Region } from "../../shared/contracts/regions.ts";
import { SIGNATURE_HEADER, signLinkRequest } from "../../shared/signing/link-signature.ts";
import type { Trace } from "../context.ts";
import type { EdgeConfig } from "../env.ts";

export interface RegionRequest {
  method: "GET" | "POST";
  /** Path and query. */
  target: string;
  body?: unknown;
  trace?: Trace | undefined;
  /** What the caller takes for an answer. */
  accept: string;
}

/** A request to a region's API, signed for it alone; undefined for a region that this deployment does not have. */
export async function signRegionRequest(
  config: EdgeConfig,
  region: Region,
  request: RegionRequest,
): Promise<{ url: string; init: RequestInit } | undefined> {
  const endpoint = config.endpoints[region.id];
  const secret = config.linkSecrets[region.id]?.[0];
  if (!endpoint || secret === undefined) return undefined;
  const { method, target, trace } = request;
  const body = request.body === undefined ? "" : JSON.stringify(request.body);
  const headers = new Headers({ accept: request.accept });
  headers.set(
    SIGNATURE_HEADER,
    await signLinkRequest(secret, { method, target, body, audience: region.id }),
  );
  if (body !== "") headers.set("content-type", "application/json");
  if (trace) {
    headers.set("x-request-id", trace.requestId);
    headers.set("traceparent", trace.traceparent);
    if (trace.actor !== undefined) headers.set("x-antiphon-actor", trace.actor);
    if (trace.consistency !== undefined) {
      headers.set("x-antiphon-consistency", trace.consistency);
    }
  }
  return {
    url: endpoint.api.replace(/\/+$/, "") + target,
    init: { method, headers, redirect: "manual", ...(body === "" ? {} : { body }) },
  };
}
