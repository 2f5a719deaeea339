import { audioKey } from "../../shared/contracts/object-keys.ts";
import { isPermitted } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { verifyAudioUrl, type AudioAddress } from "../../shared/signing/audio-url.ts";
import type { EdgeConfig } from "../env.ts";
import type { ObjectStore } from "../forward/object-store.ts";
import { describeError, log } from "../ops/log.ts";

const PASSED_ON = ["content-type", "content-length", "content-range", "last-modified"];

/**
 * Answers GET and HEAD of a signed audio URL: 200, 206 or 304. Needs no API key; the URL is the permit.
 * @throws ApiError invalid_signature | expired_url | audio_not_found | range_not_satisfiable | dependency_unavailable
 */
export type DeliverAudio = (request: Request) => Promise<Response>;

export function createDeliverAudio(config: EdgeConfig, objects: ObjectStore): DeliverAudio {
  /** From the region in the URL, or from a permitted peer to whose bucket it was replicated. */
  async function fetchAudio(
    address: AudioAddress,
    method: "GET" | "HEAD",
    range: string | undefined,
  ): Promise<Response> {
    const key = audioKey(address, address.sha256, address.extension);
    const permitted = config.regions
      .filter((region) => isPermitted(address.residency, region))
      .toSorted((a, b) => Number(b.id === address.region) - Number(a.id === address.region));
    let missingAtHome = false;
    let last: unknown;
    for (const region of permitted) {
      const answer = await objects.get(region, key, method, range).catch((error: unknown) => {
        last = error;
      });
      if (answer && (answer.ok || answer.status === 416)) return answer;
      await answer?.body?.cancel();
      if (answer?.status === 404) missingAtHome ||= region.id === address.region;
      else last ??= new Error(`the object store answered ${answer?.status}`);
    }
    if (missingAtHome) throw new ApiError("audio_not_found");
    log("error", "audio could not be fetched", {
      region: address.region,
      error: describeError(last),
    });
    throw new ApiError("dependency_unavailable", "The audio cannot be fetched now.", {
      cause: last,
    });
  }

  return async (request) => {
    const url = new URL(request.url);
    const address = await verifyAudioUrl(config.audioUrlKeys, url);
    const etag = `"${address.sha256}"`;
    const known = matches(request.headers.get("if-none-match"), etag);
    // What the client has is still right if it exists at all; HEAD tells that without the bytes.
    const method = request.method === "HEAD" || known ? "HEAD" : "GET";
    const range = method === "GET" ? wantedRange(request, etag) : undefined;
    const answer = await fetchAudio(address, method, range);

    if (answer.status === 416) {
      await answer.body?.cancel();
      const size = answer.headers.get("content-range") ?? "bytes */*";
      throw new ApiError("range_not_satisfiable", undefined, {
        headers: { "content-range": size },
      });
    }
    const leftMs = Number(url.searchParams.get("exp")) * 1000 - Date.now();
    const headers = new Headers({
      etag,
      "accept-ranges": "bytes",
      // For the caller's own cache alone: a shared one downstream checks neither signature nor deletion.
      "cache-control": `private, max-age=${Math.max(0, Math.floor(leftMs / 1000))}, immutable`,
      // Made for <audio> elements, which live on other sites.
      "cross-origin-resource-policy": "cross-origin",
      "content-disposition": "inline",
    });
    if (known) return new Response(null, { status: 304, headers });
    for (const name of PASSED_ON) {
      const value = answer.headers.get(name);
      if (value !== null) headers.set(name, value);
    }
    return new Response(method === "HEAD" ? null : answer.body, { status: answer.status, headers });
  };
}

function matches(header: string | null, etag: string): boolean {
  if (header === null) return false;
  return header.split(",").some((part) => {
    const tag = part.trim().replace(/^W\//, "");
    return tag === "*" || tag === etag;
  });
}

/** The client's range when it is one that S3 takes; anything else is ignored, as RFC 9110 asks. */
function wantedRange(request: Request, etag: string): string | undefined {
  const range = request.headers.get("range");
  if (range === null || !/^bytes=(\d{1,15}-\d{0,15}|-\d{1,15})$/.test(range)) return undefined;
  const condition = request.headers.get("if-range");
  return condition === null || condition.trim() === etag ? range : undefined;
}
