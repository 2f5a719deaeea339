import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { S3Error } from "./s3-error.ts";

const MAX_KEY_BYTES = 1024;
const BUCKET_NAME = /^[a-z0-9](?:[a-z0-9]|[.-](?=[a-z0-9])){1,61}[a-z0-9]$/;

/** One request as the operations see it: decoded once, path-style. */
export interface S3Request {
  id: string;
  method: string;
  /** Decoded path with its leading slash, as the signature covers it. */
  path: string;
  bucket: string | undefined;
  key: string | undefined;
  /** Decoded query; names are unique. */
  query: Map<string, string>;
  /** True when the signature travels in the query. */
  presigned: boolean;
  /** A header's value, several of one name joined by commas. */
  header: (name: string) => string | undefined;
  headerNames: string[];
  /** An x-amz-* header, or what a presigned URL carries in its place in the query. */
  amz: (name: string) => string | undefined;
  message: IncomingMessage;
  /** Tells a client that waits for it to send the body. */
  askForBody: () => void;
}

/** A fresh x-amz-request-id. */
export function createRequestId(): string {
  return randomBytes(8).toString("hex").toUpperCase();
}

/**
 * Reads the request line and headers.
 * @throws S3Error InvalidURI, InvalidArgument, InvalidBucketName, KeyTooLongError
 */
export function parseRequest(
  message: IncomingMessage,
  id: string,
  askForBody: () => void,
): S3Request {
  const target = message.url ?? "";
  if (!target.startsWith("/")) throw new S3Error("InvalidURI", "The request needs a path.");
  const mark = target.indexOf("?");
  const path = decode(mark < 0 ? target : target.slice(0, mark));
  const query = parseQuery(mark < 0 ? "" : target.slice(mark + 1));

  const hoisted = new Map<string, string>();
  for (const [name, value] of query) {
    const lower = name.toLowerCase();
    if (!lower.startsWith("x-amz-")) continue;
    if (hoisted.has(lower)) throw new S3Error("InvalidArgument", `${name} appears twice.`);
    hoisted.set(lower, value);
  }
  const presigned = hoisted.has("x-amz-signature") || hoisted.has("x-amz-algorithm");
  const header = (name: string) => message.headersDistinct[name]?.join(",");

  const slash = path.indexOf("/", 1);
  const bucket = (slash < 0 ? path.slice(1) : path.slice(1, slash)) || undefined;
  const key = (slash < 0 ? "" : path.slice(slash + 1)) || undefined;
  if (bucket !== undefined) checkBucketName(bucket);
  if (key !== undefined) checkKey(key);

  return {
    id,
    method: message.method ?? "GET",
    path,
    bucket,
    key,
    query,
    presigned,
    header,
    headerNames: Object.keys(message.headersDistinct),
    amz: (name) => header(name) ?? (presigned ? hoisted.get(name) : undefined),
    message,
    askForBody,
  };
}

/** @throws S3Error InvalidBucketName; a name that passes is safe as a folder name. */
export function checkBucketName(bucket: string): void {
  if (!BUCKET_NAME.test(bucket)) {
    throw new S3Error("InvalidBucketName", "The specified bucket is not valid.");
  }
}

/** @throws S3Error KeyTooLongError, InvalidURI for characters that a listing could not carry as XML */
export function checkKey(key: string): void {
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) {
    throw new S3Error("KeyTooLongError", "Your key is too long.");
  }
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f\ufffe\uffff]/.test(key)) {
    throw new S3Error("InvalidURI", "The key has control characters.");
  }
  // URL libraries fold these away, so that a copy sent to a peer would land under another key.
  if (key.split("/").some((segment) => segment === "." || segment === "..")) {
    throw new S3Error("InvalidURI", "The key has dot segments.");
  }
}

function parseQuery(text: string): Map<string, string> {
  const query = new Map<string, string>();
  for (const pair of text.split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    // With a name twice, the signature's reading and the operation's could differ.
    if (query.has(name)) throw new S3Error("InvalidArgument", `${name} appears twice.`);
    query.set(name, equals < 0 ? "" : decode(pair.slice(equals + 1)));
  }
  return query;
}

function decode(text: string): string {
  try {
    // S3 reads a bare plus as a space, in paths too; the signing libraries count on it.
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw new S3Error("InvalidURI", "Couldn't parse the specified URI.");
  }
}
