import { encodeRfc3986 } from "./canonical-request.ts";
import { listKeys } from "./list-keys.ts";
import type { Operation } from "./operation.ts";
import { receiveText } from "./receive-body.ts";
import { S3Error } from "./s3-error.ts";
import { parseXml } from "./s3-xml.ts";
import { sendAnswer, sendXml } from "./send-answer.ts";

const MAX_XML_BYTES = 64 * 1024;
const MAX_KEYS = 1000;

export const createBucket: Operation = async (services, { request, response, payloadHash }) => {
  const bucket = request.bucket ?? "";
  const text = await receiveText(request, payloadHash, MAX_XML_BYTES);
  if (text !== "") parseXml("CreateBucketConfiguration", text);
  if (!(await services.storage.createBucket(bucket))) {
    throw new S3Error("BucketAlreadyOwnedByYou", "The bucket already exists and is yours.");
  }
  sendAnswer(response, 200, { location: `/${bucket}` });
};

export const headBucket: Operation = async ({ storage, region }, { request, response }) => {
  storage.index(request.bucket ?? "");
  sendAnswer(response, 200, { "x-amz-bucket-region": region });
};

export const listObjectsV2: Operation = async ({ storage }, { request, response }) => {
  const bucket = request.bucket ?? "";
  const { query } = request;
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const token = query.get("continuation-token");
  const startAfter = query.get("start-after");
  const urlEncoded = query.get("encoding-type") === "url";
  const encode = (text: string) => (urlEncoded ? encodeRfc3986(text).replaceAll("%2F", "/") : text);
  const index = storage.index(bucket);
  const maxKeys = readMaxKeys(query.get("max-keys"));
  const after = token === undefined ? { key: startAfter ?? "" } : readToken(token);
  const page = listKeys(index, { prefix, delimiter, maxKeys, after });
  const contents = page.keys.flatMap((key) => {
    const object = storage.find(bucket, key);
    return object ? [object] : [];
  });

  sendXml(response, "ListBucketResult", {
    Name: bucket,
    Prefix: encode(prefix),
    ...(delimiter === "" ? {} : { Delimiter: encode(delimiter) }),
    ...(token === undefined ? {} : { ContinuationToken: token }),
    ...(startAfter === undefined ? {} : { StartAfter: encode(startAfter) }),
    ...(urlEncoded ? { EncodingType: "url" } : {}),
    MaxKeys: maxKeys,
    KeyCount: page.keys.length + page.prefixes.length,
    IsTruncated: page.next !== undefined,
    ...(page.next ? { NextContinuationToken: writeToken(page.next) } : {}),
    Contents: contents.map((object) => ({
      Key: encode(object.key),
      LastModified: new Date(object.lastModified).toISOString(),
      ETag: `"${object.etag}"`,
      Size: object.size,
      StorageClass: "STANDARD",
    })),
    CommonPrefixes: page.prefixes.map((common) => ({ Prefix: encode(common) })),
  });
};

/**
 * Answers as S3 does for a bucket without versioning: each object has the one version `null`. The key that a page ended with is
 * where the next goes on.
 */
export const listObjectVersions: Operation = async ({ storage }, { request, response }) => {
  const bucket = request.bucket ?? "";
  const { query } = request;
  const prefix = query.get("prefix") ?? "";
  const urlEncoded = query.get("encoding-type") === "url";
  const encode = (text: string) => (urlEncoded ? encodeRfc3986(text).replaceAll("%2F", "/") : text);
  const maxKeys = readMaxKeys(query.get("max-keys"));
  const after = { key: query.get("key-marker") ?? "" };
  const page = listKeys(storage.index(bucket), { prefix, delimiter: "", maxKeys, after });
  const versions = page.keys.flatMap((key) => storage.find(bucket, key) ?? []);
  const last = page.keys.at(-1) ?? "";
  sendXml(response, "ListVersionsResult", {
    Name: bucket,
    Prefix: encode(prefix),
    ...(urlEncoded ? { EncodingType: "url" } : {}),
    MaxKeys: maxKeys,
    IsTruncated: page.next !== undefined,
    ...(page.next ? { NextKeyMarker: encode(last), NextVersionIdMarker: "null" } : {}),
    Version: versions.map((object) => ({
      Key: encode(object.key),
      VersionId: "null",
      IsLatest: true,
      LastModified: new Date(object.lastModified).toISOString(),
      ETag: `"${object.etag}"`,
      Size: object.size,
      StorageClass: "STANDARD",
    })),
  });
};

function readMaxKeys(text: string | undefined): number {
  if (text === undefined) return MAX_KEYS;
  if (!/^\d{1,9}$/.test(text)) throw new S3Error("InvalidArgument", "max-keys is not a number.");
  return Math.min(Number(text), MAX_KEYS);
}

function writeToken(position: { key: string } | { prefix: string }): string {
  const text = "key" in position ? `k${position.key}` : `p${position.prefix}`;
  return Buffer.from(text).toString("base64url");
}

function readToken(token: string): { key: string } | { prefix: string } {
  const text = Buffer.from(token, "base64url").toString("utf8");
  if (text.startsWith("k")) return { key: text.slice(1) };
  if (text.startsWith("p") && text.length > 1) return { prefix: text.slice(1) };
  throw new S3Error("InvalidArgument", "The continuation token provided is incorrect");
}
