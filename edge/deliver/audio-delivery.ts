import { audioKey } from "../../shared/contracts/object-keys.ts";
import { isPermitted } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { verifyAudioUrl, type AudioAddress } from "../../shared/signing/audio-url.ts";
import type { EdgeConfig } from "../env.ts";
import type { ObjectStore } from "../forward/object-store.ts";
import { describeError, log } from "../ops/log.ts";
import { createAudioCache } from "./audio-cache.ts";
import { matchesTag } from "./matches-tag.ts";
import type { IsDeleted } from "./is-deleted.ts";

const PASSED_ON = ["content-type", "content-length", "content-range", "last-modified"];

/**
 * Answers GET and HEAD of a signed audio URL: 200, 206 or 304. Needs no API key; the URL is the permit. `later` keeps work going
 * that no answer waits for.
 * @throws ApiError invalid_signature | expired_url | audio_not_found | range_not_satisfiable | dependency_unavailable
 */
export type DeliverAudio = (
  request: Request,
  later: (work: Promise<unknown>) => void,
) => Promise<Response>;

/**
 * In this order: the signature, its end and its network; then whether the audio was deleted; only then a cache, or a bucket, is
 * asked. So nothing that was cached outlives a deletion, and nobody learns from a cache what he may not have.
 */
export function createDeliverAudio(
  config: EdgeConfig,
  objects: ObjectStore,
  isDeleted: IsDeleted,
): DeliverAudio {
  const cache = createAudioCache(config.audioCacheDays);

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

  return async (request, later) => {
    const url = new URL(request.url);
    const client = request.headers.get("cf-connecting-ip");
    const address = await verifyAudioUrl(config.audioUrlKeys, url, Date.now(), client);
    const endsAtMs = Number(url.searchParams.get("exp")) * 1000;
    if (await isDeleted(address, address.sha256, endsAtMs)) throw new ApiError("audio_not_found");
    const etag = `"${address.sha256}"`;
    const known = matchesTag(request.headers.get("if-none-match"), etag);
    // What the client has is still right if it exists at all; HEAD tells that without the bytes.
    const method = request.method === "HEAD" || known ? "HEAD" : "GET";
    const range = method === "GET" ? wantedRange(request, etag) : undefined;
    const cached = await cache.match(address, range);
    let answer = cached ?? (await fetchAudio(address, method, range));
    if (!cached && method === "GET") {
      answer = cache.keep(address, answer, () => fetchAudio(address, "GET", undefined), later);
    }
    if (cached && method === "HEAD") await cached.body?.cancel();

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
      "x-antiphon-cache": cached ? "hit" : "miss",
    });
    if (known) return new Response(null, { status: 304, headers });
    for (const name of PASSED_ON) {
      const value = answer.headers.get(name);
      if (value !== null) headers.set(name, value);
    }
    return new Response(method === "HEAD" ? null : answer.body, { status: answer.status, headers });
  };
}

/**
 * The client's range when it is one. Several at once, other units and what is no range are ignored, and the whole is sent: a server
 * may always do so (RFC 9110, 14.2), and a client that asked for parts must be ready for it. `If-Range` needs the strong tag.
 */
function wantedRange(request: Request, etag: string): string | undefined {
  const range = request.headers.get("range")?.trim();
  const match = /^bytes=(?:(\d{1,15})-(\d{0,15})|-\d{1,15})$/i.exec(range ?? "");
  if (!match) return undefined;
  const [, from, to] = match;
  if (from !== undefined && to && Number(to) < Number(from)) return undefined;
  const condition = request.headers.get("if-range");
  return condition === null || condition.trim() === etag ? range : undefined;
}
