import type { S3Request } from "./parse-request.ts";
import { S3Error } from "./s3-error.ts";
import type { ObjectAttributes, StoredObject } from "./stored-object.ts";

const KEPT_HEADERS = [
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "expires",
] as const;
const OVERRIDES = [...KEPT_HEADERS, "content-type"] as const;
const META = "x-amz-meta-";
const MAX_METADATA_BYTES = 2048;
const MAX_TAGS = 10;

/**
 * Reads content type, kept headers, user metadata and tags from a request that makes an object.
 * @throws S3Error MetadataTooLarge, InvalidArgument, InvalidTag, NotImplemented
 */
export function readAttributes(request: S3Request): ObjectAttributes {
  const headers: Record<string, string> = {};
  for (const name of KEPT_HEADERS) {
    const value = request.header(name);
    if (value !== undefined) headers[name] = value;
  }
  const encoding = withoutAwsChunked(headers["content-encoding"]);
  delete headers["content-encoding"];
  if (encoding) headers["content-encoding"] = encoding;

  const userMetadata: Record<string, string> = {};
  let bytes = 0;
  for (const spelled of [...request.headerNames, ...request.query.keys()]) {
    const name = spelled.toLowerCase();
    if (name.startsWith("x-amz-server-side-encryption-customer-")) {
      throw new S3Error("NotImplemented", "Customer keys are not implemented here.");
    }
    const value = name.startsWith(META) ? request.amz(name) : undefined;
    if (value === undefined) continue;
    if (!/^[\x20-\x7e]*$/.test(value)) {
      throw new S3Error("InvalidArgument", "User metadata must be US-ASCII.");
    }
    userMetadata[name.slice(META.length)] = value;
    bytes += name.length - META.length + value.length;
  }
  if (bytes > MAX_METADATA_BYTES) {
    throw new S3Error("MetadataTooLarge", "Your metadata headers exceed the maximum size.");
  }
  return {
    contentType: request.header("content-type") ?? "binary/octet-stream",
    headers,
    userMetadata,
    tags: parseTagHeader(request.amz("x-amz-tagging")),
  };
}

/** Reads the form-encoded tags of the x-amz-tagging header. */
export function parseTagHeader(header: string | undefined): Record<string, string> {
  return checkTags([...new URLSearchParams(header ?? "")]);
}

/** @throws S3Error InvalidTag when there are too many tags, one is too long, or a key comes twice */
export function checkTags(entries: [string, string][]): Record<string, string> {
  const tags = new Map(entries);
  const fits = entries.every(
    ([key, value]) => key.length >= 1 && key.length <= 128 && value.length <= 256,
  );
  if (!fits || entries.length > MAX_TAGS || tags.size !== entries.length) {
    throw new S3Error("InvalidTag", "The tags are too many, too long, or one key comes twice.");
  }
  return Object.fromEntries(tags);
}

/** The headers that describe an object in an answer to GET or HEAD, with the request's response-* overrides. */
export function describeObject(
  request: S3Request,
  object: StoredObject,
): Record<string, string | undefined> {
  const headers: Record<string, string | undefined> = {
    "accept-ranges": "bytes",
    "content-type": object.contentType,
    ...object.headers,
    etag: `"${object.etag}"`,
    "last-modified": new Date(object.lastModified).toUTCString(),
    "x-amz-replication-status": object.replication?.status,
  };
  for (const [name, value] of Object.entries(object.userMetadata)) headers[META + name] = value;
  const tagCount = Object.keys(object.tags).length;
  if (tagCount > 0) headers["x-amz-tagging-count"] = String(tagCount);
  for (const name of OVERRIDES) {
    const value = request.query.get(`response-${name}`);
    if (value === undefined) continue;
    if (!/^[\x20-\x7e]*$/.test(value)) {
      throw new S3Error("InvalidArgument", `response-${name} is not a header value.`);
    }
    headers[name] = value;
  }
  return headers;
}

/** The checksums that the client gave on upload, as headers. */
export function checksumHeaders(object: Pick<StoredObject, "checksums">): Record<string, string> {
  const entries = Object.entries(object.checksums).map(
    ([name, value]) => [`x-amz-checksum-${name}`, value] as const,
  );
  if (entries.length === 0) return {};
  return { ...Object.fromEntries(entries), "x-amz-checksum-type": "FULL_OBJECT" };
}

// It says how the upload was framed, not what the object is.
function withoutAwsChunked(encoding: string | undefined): string | undefined {
  return encoding
    ?.split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "aws-chunked" && part !== "")
    .join(",");
}
