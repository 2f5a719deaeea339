import { z } from "zod";
import { Durability } from "../../shared/contracts/api.ts";
import { mintMultiRegionUploadId, mintUploadId } from "../../shared/contracts/ids.ts";
import { CreateAnalysis, DeadlineS } from "../../shared/contracts/job.ts";
import { uploadKey, type Owner } from "../../shared/contracts/object-keys.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { toHex } from "../../shared/signing/bytes.ts";
import { readBytes } from "../admit/read-body.ts";
import type { ObjectStore } from "../forward/object-store.ts";
import type { StoredHere } from "../forward/submit-job.ts";
import type { RetryBudget } from "../forward/retry-budget.ts";

/** Largest body of audio that goes through the Worker. */
export const MAX_RAW_BYTES = 25 * 1024 * 1024;
/** Up to here a body is held until it is stored, so that a second bucket can be tried. */
const MAX_HELD_BYTES = 1024 * 1024;
/** A bucket that hangs must leave time for the next. */
const HELD_PUT_MS = 3_000;

const RawAnalysis = CreateAnalysis.omit({ upload_id: true, metadata: true }).extend({
  deadline_s: z.coerce.number().pipe(DeadlineS).optional(),
  durability: Durability,
});

/**
 * A body of audio, checked as far as its headers and query go; no byte of it is read yet.
 * @throws ApiError invalid_request | audio_empty | body_too_large
 */
export function readRawAudio(request: Request, contentType: string) {
  const url = new URL(request.url);
  const length = request.headers.get("content-length") ?? "";
  if (!/^\d{1,15}$/.test(length)) {
    throw new ApiError("invalid_request", "A body of audio needs a Content-Length.", {
      errors: [{ path: "Content-Length", message: "is missing" }],
    });
  }
  const bytes = Number(length);
  const { body } = request;
  if (bytes === 0 || !body) throw new ApiError("audio_empty");
  if (bytes > MAX_RAW_BYTES) {
    throw new ApiError("body_too_large", `A body may have ${MAX_RAW_BYTES} bytes at most.`);
  }
  const query = Object.fromEntries(url.searchParams);
  const wanted = parseRequest(RawAnalysis, {
    ...query,
    ...(query["parts"] === undefined ? {} : { parts: query["parts"].split(",") }),
  });

  /**
   * Stores the body in a bucket as a new upload, and hashes it. A small one goes to the first region that takes it; a larger one streams
   * to the first, and is gone with it: a client has to send it again.
   * @throws ApiError dependency_unavailable (nothing was accepted), body_too_slow
   */
  async function store(
    objects: Pick<ObjectStore, "put">,
    regions: readonly Region[],
    owner: Owner,
    retries: RetryBudget,
  ): Promise<StoredHere & { sha256: string }> {
    const { durability } = wanted;
    if (bytes > MAX_HELD_BYTES) {
      const region = regions[0]!;
      const digest = digesting();
      const source = body!.pipeThrough(digest.stream);
      const audio = { body: source, bytes, contentType, durability };
      const upload = await storeAudio(objects, region, owner, audio);
      return { ...upload, sha256: await digest.hex() };
    }
    const held = await readBytes({ body }, bytes).catch((cause: unknown) => {
      throw cause instanceof ApiError ? cause : notStored(cause);
    });
    if (held.byteLength !== bytes) throw notStored(new Error("the body ended early"));
    const sha256 = toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", held)));
    retries.began();
    for (const [n, region] of regions.entries()) {
      const uploadId = newUploadId(region, durability);
      try {
        const key = uploadKey(owner, uploadId);
        const { etag } = await objects.put(region, key, held, contentType, HELD_PUT_MS);
        return { uploadId, region, bytes, etag, type: contentType, sha256 };
      } catch (error) {
        if (n === regions.length - 1 || !retries.takes("upload")) throw error;
      }
    }
    throw new ApiError("region_unavailable");
  }

  /** SHA-256 of the body in hex, read without keeping it. */
  async function hash(): Promise<string> {
    const stream = new crypto.DigestStream("SHA-256");
    await body!.pipeTo(stream);
    return toHex(new Uint8Array(await stream.digest));
  }

  const fingerprint = JSON.stringify(["audio", url.search, contentType, bytes]);
  return { wanted, fingerprint, store, hash };
}

export interface AudioBody {
  body: ReadableStream<Uint8Array>;
  bytes: number;
  contentType: string;
  durability?: Durability;
}

/**
 * Streams audio into the region's bucket as a new upload.
 * @throws ApiError dependency_unavailable, also where the body ends early
 */
export async function storeAudio(
  objects: Pick<ObjectStore, "put">,
  region: Region,
  owner: Owner,
  { body, bytes, contentType, durability }: AudioBody,
): Promise<StoredHere> {
  const uploadId = newUploadId(region, durability);
  // Of known length, because S3 takes no chunked bodies; it also fails a body that ends early.
  const sized = new FixedLengthStream(bytes);
  const writer = sized.writable.getWriter();
  const reader = body.getReader();
  /** Aborted where the sender has failed, and not the region. */
  const cut = new AbortController();

  async function feed(): Promise<void> {
    let fed = 0;
    const failed = (cause: unknown): never => {
      cut.abort();
      throw cause;
    };
    try {
      for (;;) {
        const { done, value } = await reader.read().catch(failed);
        if (done) break;
        fed += value.byteLength;
        if (fed > bytes) failed(new Error("the body is too long"));
        await writer.write(value);
      }
      if (fed < bytes) failed(new Error("the body ended early"));
      await writer.close();
    } catch (error) {
      await writer.abort(error).catch(() => undefined);
      throw error;
    }
  }

  try {
    const key = uploadKey(owner, uploadId);
    const put = objects.put(region, key, sized.readable, contentType, undefined, cut.signal);
    const [{ etag }] = await Promise.all([put, feed()]);
    return { uploadId, region, bytes, etag, type: contentType };
  } catch (error) {
    throw notStored(error);
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

const newUploadId = (region: Region, durability: Durability = "region") =>
  (durability === "multi_region" ? mintMultiRegionUploadId : mintUploadId)(region);

/** Retryable; a 503 tells when. */
const notStored = (cause: unknown) =>
  new ApiError(
    "dependency_unavailable",
    "The recording could not be stored. Nothing was accepted; send it again.",
    { cause },
  );

/** Passes bytes on and hashes them on the way, at the pace of whoever reads. */
function digesting() {
  const digest = new crypto.DigestStream("SHA-256");
  const writer = digest.getWriter();
  const stream = new TransformStream<Uint8Array, Uint8Array>({
    async transform(chunk, controller) {
      await writer.write(chunk);
      controller.enqueue(chunk);
    },
    flush: () => writer.close(),
  });
  return { stream, hex: async () => toHex(new Uint8Array(await digest.digest)) };
}
