import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { ApiError } from "../../shared/errors/problem.ts";
import type { ObjectStore } from "../store/object-store-port.ts";

export interface FetchUploadOptions {
  objects: Pick<ObjectStore, "get">;
  key: string;
  path: string;
  maxBytes: number;
  signal: AbortSignal;
}

export interface FetchedUpload {
  bytes: number;
  sha256: string;
  /** As it was declared with the upload. */
  contentType: string | undefined;
  /** Of the very bytes that were hashed: whoever has the upload's URL can replace them until it expires. */
  etag: string | undefined;
}

/**
 * Streams an upload into the file `path`, hashing it on the way.
 * @throws ApiError upload_not_found | audio_empty | upload_too_large: final, another attempt ends the same way
 */
export async function fetchUpload(options: FetchUploadOptions): Promise<FetchedUpload> {
  const { objects, key, path, maxBytes, signal } = options;
  const upload = await objects.get(key, { signal });
  if (!upload) throw new ApiError("upload_not_found");
  const tooLarge = () =>
    new ApiError("upload_too_large", `An upload has at most ${maxBytes} bytes.`);
  if (upload.bytes > maxBytes) {
    upload.body.destroy();
    throw tooLarge();
  }
  const hash = createHash("sha256");
  let bytes = 0;
  const measure = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes > maxBytes) return done(tooLarge());
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await pipeline(upload.body, measure, createWriteStream(path, { flags: "wx", mode: 0o600 }), {
    signal,
  });
  if (bytes !== upload.bytes) throw new Error(`${key} came with ${bytes} of ${upload.bytes} bytes`);
  if (bytes === 0) throw new ApiError("audio_empty");
  const { contentType, etag } = upload;
  return { bytes, sha256: hash.digest("hex"), contentType, etag };
}
