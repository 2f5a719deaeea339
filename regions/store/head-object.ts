import { createHmac, createSecretKey, hash, type KeyObject } from "node:crypto";
import { createHeadConnections, type HeadAnswer } from "./head-connections.ts";

export interface HeadObjectOptions {
  awsRegion: string;
  bucket: string;
  /** Absent: AWS itself, the bucket in the host's name. */
  endpoint?: string | undefined;
  /** Asked for each call; it is up to it to remember them. */
  credentials: () => Promise<Credentials>;
  timeoutMs: number;
}

interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string | undefined;
}

/** As the SDK names them. */
export interface ObjectFacts {
  ContentLength?: number | undefined;
  ContentType?: string | undefined;
  ETag?: string | undefined;
  LastModified?: Date | undefined;
  ChecksumSHA256?: string | undefined;
}

export interface HeadObject {
  /** `"unclear"`: the store said neither that it is there nor that it is not; nothing is known. Rejects when it cannot be reached. */
  head(key: string, signal?: AbortSignal): Promise<ObjectFacts | undefined | "unclear">;
  close(): void;
}

const EMPTY_SHA256 = hash("sha256", "", "hex");
const MAX_SOCKETS = 100;

/**
 * HEAD of one object, signed by hand (AWS Signature Version 4): the SDK takes ten times as long for it, and every job that a
 * region accepts waits for one. Tries once; who gets no clear answer asks the SDK, which knows what to do with all others.
 */
export function createHeadObject(options: HeadObjectOptions): HeadObject {
  const { awsRegion, bucket, endpoint, credentials, timeoutMs } = options;
  const base = new URL(endpoint ?? `https://${bucket}.s3.${awsRegion}.amazonaws.com`);
  const folder = endpoint === undefined ? "" : `/${encode(bucket)}`;
  const secure = base.protocol === "https:";
  const connections = createHeadConnections({
    host: base.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: Number(base.port || (secure ? 443 : 80)),
    secure,
    timeoutMs,
    most: MAX_SOCKETS,
  });
  const signingKey = rememberSigningKey(awsRegion);
  const timeOf = createTimeOf();

  return {
    async head(key, signal) {
      const keys = await credentials();
      signal?.throwIfAborted();
      const answer = await connections.send(
        sign(keys, `${folder}/${key.split("/").map(encode).join("/")}`),
        signal,
      );
      if (answer.status === 404) return undefined;
      return answer.status === 200 ? factsOf(answer) : "unclear";
    },
    close: () => connections.close(),
  };

  /** The bytes of the request; see "Signature calculations for the Authorization header" in S3's reference. */
  function sign({ accessKeyId, secretAccessKey, sessionToken }: Credentials, path: string): string {
    const at = timeOf(Date.now());
    const date = at.slice(0, 8);
    const token = sessionToken ? `x-amz-security-token:${sessionToken}\n` : "";
    const headers =
      `host:${base.host}\nx-amz-checksum-mode:ENABLED\nx-amz-content-sha256:${EMPTY_SHA256}\n` +
      `x-amz-date:${at}\n${token}`;
    const names =
      "host;x-amz-checksum-mode;x-amz-content-sha256;x-amz-date" +
      (token && ";x-amz-security-token");
    const scope = `${date}/${awsRegion}/s3/aws4_request`;
    const canonical = `HEAD\n${path}\n\n${headers}\n${names}\n${EMPTY_SHA256}`;
    const digest = hash("sha256", canonical, "hex");
    const signature = createHmac("sha256", signingKey(secretAccessKey, date))
      .update(`AWS4-HMAC-SHA256\n${at}\n${scope}\n${digest}`)
      .digest("hex");
    return (
      `HEAD ${path} HTTP/1.1\r\n${headers.replaceAll("\n", "\r\n")}` +
      `authorization:AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}\r\n\r\n`
    );
  }
}

/** As signatures have the time, which changes once a second. */
function createTimeOf() {
  let made = { second: NaN, text: "" };
  return (ms: number): string => {
    const second = Math.floor(ms / 1000);
    if (made.second !== second) {
      const text = new Date(second * 1000).toISOString().slice(0, 19).replaceAll(/[:-]/g, "");
      made = { second, text: `${text}Z` };
    }
    return made.text;
  };
}

/** The key of a day, which is the same for all requests of that day. */
function rememberSigningKey(awsRegion: string) {
  let made: { secret: string; date: string; key: KeyObject } | undefined;
  return (secret: string, date: string): KeyObject => {
    if (made?.date !== date || made.secret !== secret) {
      let key = Buffer.from(`AWS4${secret}`);
      for (const part of [date, awsRegion, "s3", "aws4_request"]) {
        key = createHmac("sha256", key).update(part).digest();
      }
      made = { secret, date, key: createSecretKey(key) };
    }
    return made.key;
  };
}

/** As S3 wants it: all but letters, digits and -._~ by their bytes. */
function encode(text: string): string {
  if (/^[\w.~-]*$/.test(text)) return text;
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function factsOf({ header }: HeadAnswer): ObjectFacts {
  const modified = header("last-modified");
  return {
    ContentLength: Number(header("content-length") ?? 0),
    ContentType: header("content-type"),
    ETag: header("etag"),
    LastModified: modified === undefined ? undefined : new Date(modified),
    ChecksumSHA256: header("x-amz-checksum-sha256"),
  };
}
