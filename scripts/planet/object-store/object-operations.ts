import { link } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { parseByteRange } from "./byte-range.ts";
import { checkWriteConditions, readIsWanted } from "./conditions.ts";
import { writeChunks } from "./durable-files.ts";
import {
  checksumHeaders,
  describeObject,
  parseTagHeader,
  readAttributes,
} from "./object-attributes.ts";
import { type Exchange, type Operation, locate } from "./operation.ts";
import { checkKey, checkBucketName, type S3Request } from "./parse-request.ts";
import { receiveBody } from "./receive-body.ts";
import { readReplicaOrigin } from "./replica-headers.ts";
import { S3Error } from "./s3-error.ts";
import { sendAnswer, sendXml } from "./send-answer.ts";
import type { StoredObject } from "./stored-object.ts";

export const putObject: Operation = async (services, { request, response, payloadHash }) => {
  const { storage } = services;
  const { bucket, key } = locate(request);
  const check = (existing: StoredObject | undefined) => checkWriteConditions(request, existing);
  // Judged before the body too, so that a refused upload need not be sent.
  check(storage.find(bucket, key));
  const attributes = readAttributes(request);
  const replica = readReplicaOrigin(request);
  await storage.withTemporary(async (temporary) => {
    const body = await receiveBody(request, payloadHash, services.maxObjectBytes, (chunks) =>
      writeChunks(temporary, chunks),
    );
    const { size, sha256, checksums } = body;
    const content = { size, sha256, checksums, etag: body.md5.toString("hex") };
    const draft = { bucket, key, ...attributes, ...content, replica };
    const object = await storage.commit(draft, temporary, check);
    sendAnswer(response, 200, { etag: `"${object.etag}"`, ...checksumHeaders({ checksums }) });
  });
};

export const copyObject: Operation = async ({ storage }, { request, response }) => {
  const { bucket, key } = locate(request);
  const from = parseCopySource(request);
  const replacesAttributes = directive(request, "x-amz-metadata-directive") === "REPLACE";
  const replacesTags = directive(request, "x-amz-tagging-directive") === "REPLACE";
  if (from.bucket === bucket && from.key === key && !replacesAttributes && !replacesTags) {
    throw new S3Error("InvalidRequest", "A copy onto itself must change something.");
  }
  const given = readAttributes(request);
  await storage.withTemporary(async (temporary) => {
    const source = await linkNewest(from.bucket, from.key, temporary);
    const wanted = request.header("x-amz-copy-source-if-match");
    if (wanted !== undefined && wanted.replaceAll('"', "") !== source.etag) {
      throw new S3Error("PreconditionFailed", "The source is not the one you asked for.");
    }
    const { contentType, headers, userMetadata } = replacesAttributes ? given : source;
    const tags = replacesTags ? parseTagHeader(request.amz("x-amz-tagging")) : source.tags;
    const { size, etag, sha256, checksums } = source;
    const content = { size, etag, sha256, checksums };
    const draft = { bucket, key, contentType, headers, userMetadata, tags, ...content };
    const object = await storage.commit(draft, temporary, (existing) =>
      checkWriteConditions(request, existing),
    );
    sendXml(response, "CopyObjectResult", {
      ETag: `"${object.etag}"`,
      LastModified: new Date(object.lastModified).toISOString(),
    });
  });

  // The bytes never change, so a second name for them is a copy.
  async function linkNewest(sourceBucket: string, sourceKey: string, temporary: string) {
    for (;;) {
      const source = storage.find(sourceBucket, sourceKey);
      if (!source) throw new S3Error("NoSuchKey", "The specified key does not exist.");
      try {
        await link(storage.blobPath(source), temporary);
        return source;
      } catch (error) {
        if (storage.find(sourceBucket, sourceKey)?.blob === source.blob) throw error;
      }
    }
  }
};

export const getObject: Operation = async ({ storage }, { request, response }) => {
  const { bucket, key } = locate(request);
  const { object, handle } = await storage.openNewest(bucket, key);
  try {
    const range = describeRead({ request, response }, object);
    if (range === undefined) return;
    response.writeHead(range.status);
    if (object.size === 0) {
      response.end();
      return;
    }
    const { start, end } = range;
    await pipeline(handle.createReadStream({ start, end, autoClose: false }), response);
  } finally {
    await handle.close();
  }
};

export const headObject: Operation = async ({ storage }, { request, response }) => {
  const { bucket, key } = locate(request);
  const object = storage.find(bucket, key);
  if (!object) throw new S3Error("NoSuchKey", "The specified key does not exist.");
  const range = describeRead({ request, response }, object);
  if (range) sendAnswer(response, range.status);
};

export const deleteObject: Operation = async ({ storage }, { request, response }) => {
  const { bucket, key } = locate(request);
  const check = (existing: StoredObject | undefined) => checkWriteConditions(request, existing);
  await storage.remove(bucket, key, check, readReplicaOrigin(request));
  sendAnswer(response, 204);
};

/** Removes the one version that an object has; as with S3, peers are not told of a version's removal. */
export const deleteVersion: Operation = async ({ storage }, { request, response }) => {
  const { bucket, key } = locate(request);
  if (request.query.get("versionId") !== "null") {
    throw new S3Error("NoSuchVersion", "The specified version does not exist.");
  }
  await storage.remove(bucket, key, () => undefined, undefined, false);
  sendAnswer(response, 204);
};

/** Sets the headers of a GET or HEAD; sends 304 itself and then returns undefined. */
function describeRead(
  { request, response }: Pick<Exchange, "request" | "response">,
  object: StoredObject,
) {
  const headers = describeObject(request, object);
  if (!readIsWanted(request, object)) {
    const { etag, "last-modified": lastModified, "cache-control": cacheControl } = headers;
    sendAnswer(response, 304, {
      etag,
      "last-modified": lastModified,
      "cache-control": cacheControl,
    });
    return undefined;
  }
  const ifRange = request.header("if-range");
  const ranged = ifRange === undefined || ifRange === headers["etag"];
  const range = parseByteRange(ranged ? request.header("range") : undefined, object.size);
  const { start, end } = range ?? { start: 0, end: object.size - 1 };
  if (range) headers["content-range"] = `bytes ${start}-${end}/${object.size}`;
  // A checksum of the whole would make a client refuse a part.
  else if (request.header("x-amz-checksum-mode")?.toUpperCase() === "ENABLED") {
    Object.assign(headers, checksumHeaders(object));
  }
  headers["content-length"] = String(end - start + 1);
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) response.setHeader(name, value);
  }
  return { status: range ? 206 : 200, start, end };
}

function parseCopySource(request: S3Request): { bucket: string; key: string } {
  const source = request.amz("x-amz-copy-source") ?? "";
  if (source.includes("?")) throw new S3Error("NotImplemented", "There are no versions here.");
  let path: string;
  try {
    path = decodeURIComponent(source).replace(/^\//, "");
  } catch {
    throw new S3Error("InvalidArgument", "x-amz-copy-source is not encoded properly.");
  }
  const slash = path.indexOf("/");
  if (slash < 1 || slash === path.length - 1) {
    throw new S3Error("InvalidArgument", "x-amz-copy-source must be BUCKET/KEY.");
  }
  const bucket = path.slice(0, slash);
  const key = path.slice(slash + 1);
  checkBucketName(bucket);
  checkKey(key);
  return { bucket, key };
}

function directive(request: S3Request, name: string): "COPY" | "REPLACE" {
  const value = request.amz(name) ?? "COPY";
  if (value !== "COPY" && value !== "REPLACE") {
    throw new S3Error("InvalidArgument", `${name} must be COPY or REPLACE.`);
  }
  return value;
}
