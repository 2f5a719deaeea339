import { z } from "zod";
import { mintUploadId } from "../../shared/contracts/ids.ts";
import { CreateAnalysis, DeadlineS } from "../../shared/contracts/job.ts";
import { uploadKey, type Owner } from "../../shared/contracts/object-keys.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { toHex } from "../../shared/signing/bytes.ts";
import type { ObjectStore } from "../forward/object-store.ts";

/** Largest body of audio that goes through the Worker. */
export const MAX_RAW_BYTES = 25 * 1024 * 1024;

const RawAnalysis = CreateAnalysis.omit({ upload_id: true, metadata: true }).extend({
  deadline_s: z.coerce.number().pipe(DeadlineS).optional(),
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

  /** Streams the body into the region's bucket as a new upload, and hashes it on the way. */
  async function store(
    objects: ObjectStore,
    region: Region,
    owner: Owner,
  ): Promise<{ uploadId: string; sha256: string }> {
    const digest = digesting();
    const source = body!.pipeThrough(digest.stream);
    const uploadId = await storeAudio(objects, region, owner, { body: source, bytes, contentType });
    return { uploadId, sha256: await digest.hex() };
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
}

/**
 * Streams audio into the region's bucket as a new upload, and answers with its id.
 * @throws ApiError dependency_unavailable, also where the body ends early
 */
export async function storeAudio(
  objects: ObjectStore,
  region: Region,
  owner: Owner,
  { body, bytes, contentType }: AudioBody,
): Promise<string> {
  const uploadId = mintUploadId(region);
  // Of known length, because S3 takes no chunked bodies; it also fails a body that ends early.
  const sized = new FixedLengthStream(bytes);
  const stop = new AbortController();
  const piped = body.pipeTo(sized.writable, { signal: stop.signal });
  try {
    const put = objects.put(region, uploadKey(owner, uploadId), sized.readable, contentType);
    await Promise.all([put, piped]);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError("dependency_unavailable", "The recording could not be stored.", {
      cause: error,
    });
  } finally {
    stop.abort();
  }
  return uploadId;
}

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
