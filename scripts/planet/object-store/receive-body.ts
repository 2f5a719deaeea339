import { createHash } from "node:crypto";
import {
  type Checksum,
  type ChecksumName,
  checkChecksumShape,
  checksumNameOf,
  createChecksum,
} from "./body-checksum.ts";
import { decodeAwsChunked } from "./decode-aws-chunked.ts";
import type { S3Request } from "./parse-request.ts";
import { S3Error } from "./s3-error.ts";

const TRAILER_PAYLOAD = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/** A body that arrived whole and agreed with everything the client said of it. */
export interface ReceivedBody {
  size: number;
  md5: Buffer;
  /** Hex. */
  sha256: string;
  /** The checksums that the client named, base64. */
  checksums: Partial<Record<ChecksumName, string>>;
}

type BodySink = (chunks: AsyncIterable<Buffer>) => Promise<void>;

/**
 * Streams the body into `sink` and then verifies its length, payload hash and checksums; a sink must
 * keep nothing when this throws.
 * @param payloadHash what the signature says of the body
 * @param limit bytes at most
 * @throws S3Error MissingContentLength, EntityTooLarge, IncompleteBody, BadDigest, XAmzContentSHA256Mismatch, …
 */
export async function receiveBody(
  request: S3Request,
  payloadHash: string,
  limit: number,
  sink: BodySink,
): Promise<ReceivedBody> {
  const chunked = payloadHash === TRAILER_PAYLOAD;
  checkPayloadHash(payloadHash);
  const length = declaredLength(request, chunked, limit);
  const expected = expectedChecksums(request);
  const contentMd5 = readContentMd5(request);
  const trailerNames = chunked ? expectedTrailers(request) : [];

  const md5 = createHash("md5");
  const sha256 = createHash("sha256");
  const running = new Map<ChecksumName, Checksum>();
  for (const name of [...expected.keys(), ...trailerNames]) running.set(name, createChecksum(name));
  const trailers = new Map<string, string>();
  let size = 0;

  async function* measured(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      size += chunk.length;
      if (size > length) throw new S3Error("IncompleteBody", "The body is longer than declared.");
      md5.update(chunk);
      sha256.update(chunk);
      for (const checksum of running.values()) checksum.update(chunk);
      yield chunk;
    }
  }

  request.askForBody();
  // The connection must outlive a refusal, or the client would never read why.
  const raw: AsyncIterable<Buffer> = request.message.iterator({ destroyOnReturn: false });
  await sink(measured(chunked ? decodeAwsChunked(raw, trailers) : raw));

  if (size !== length) {
    throw new S3Error(
      "IncompleteBody",
      "You did not provide the bytes that Content-Length states.",
    );
  }
  for (const name of trailerNames) {
    const value = trailers.get(`x-amz-checksum-${name}`);
    if (value === undefined)
      throw new S3Error("MalformedTrailerError", `Trailer ${name} is missing.`);
    checkChecksumShape(name, value);
    expected.set(name, value);
  }
  const checksums: ReceivedBody["checksums"] = {};
  for (const [name, value] of expected) {
    if (running.get(name)?.digest() !== value) {
      throw new S3Error("BadDigest", `The ${name} you specified did not match what we received.`);
    }
    checksums[name] = value;
  }
  const md5Digest = md5.digest();
  if (contentMd5 && !contentMd5.equals(md5Digest)) {
    throw new S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.");
  }
  const sha256Digest = sha256.digest("hex");
  if (/^[0-9a-f]{64}$/.test(payloadHash) && payloadHash !== sha256Digest) {
    throw new S3Error(
      "XAmzContentSHA256Mismatch",
      "The provided 'x-amz-content-sha256' header does not match what was computed.",
    );
  }
  return { size, md5: md5Digest, sha256: sha256Digest, checksums };
}

/** Receives a small body (an XML document) as text; `limit` in bytes. */
export async function receiveText(
  request: S3Request,
  payloadHash: string,
  limit: number,
): Promise<string> {
  const parts: Buffer[] = [];
  await receiveBody(request, payloadHash, limit, async (chunks) => {
    for await (const chunk of chunks) parts.push(chunk);
  });
  return Buffer.concat(parts).toString("utf8");
}

function checkPayloadHash(payloadHash: string): void {
  if (payloadHash === TRAILER_PAYLOAD || payloadHash === "UNSIGNED-PAYLOAD") return;
  if (/^[0-9a-f]{64}$/.test(payloadHash)) return;
  if (payloadHash.startsWith("STREAMING-")) {
    throw new S3Error("NotImplemented", `${payloadHash} is not implemented here.`);
  }
  throw new S3Error("InvalidArgument", "x-amz-content-sha256 must be a valid SHA-256 in hex.");
}

function declaredLength(request: S3Request, chunked: boolean, limit: number): number {
  const declared = chunked
    ? request.header("x-amz-decoded-content-length")
    : (request.header("content-length") ??
      (request.header("transfer-encoding") === undefined ? "0" : undefined));
  if (declared === undefined) {
    throw new S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.");
  }
  if (!/^\d{1,15}$/.test(declared))
    throw new S3Error("InvalidArgument", "The length is no number.");
  if (Number(declared) > limit) {
    throw new S3Error("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.");
  }
  return Number(declared);
}

function expectedChecksums(request: S3Request): Map<ChecksumName, string> {
  const expected = new Map<ChecksumName, string>();
  for (const header of [...request.headerNames, ...request.query.keys()]) {
    const lower = header.toLowerCase();
    const name = checksumNameOf(lower);
    const value = name && request.amz(lower);
    if (!name || value === undefined) continue;
    checkChecksumShape(name, value);
    expected.set(name, value);
  }
  return expected;
}

function expectedTrailers(request: S3Request): ChecksumName[] {
  const names = (request.header("x-amz-trailer") ?? "").split(",").map((name) => name.trim());
  return names
    .filter((name) => name !== "")
    .map((name) => {
      const checksum = checksumNameOf(name.toLowerCase());
      if (!checksum) throw new S3Error("MalformedTrailerError", "Trailers carry checksums only.");
      return checksum;
    });
}

function readContentMd5(request: S3Request): Buffer | undefined {
  const value = request.header("content-md5");
  if (value === undefined) return undefined;
  const bytes = Buffer.from(value, "base64");
  if (bytes.length !== 16) throw new S3Error("InvalidDigest", "The Content-MD5 is not valid.");
  return bytes;
}
