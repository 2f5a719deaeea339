import { createHmac, createSecretKey, hash, type KeyObject } from "node:crypto";
import { Agent as HttpAgent, request as httpRequest, type RequestOptions } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";

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
  const agent = new (secure ? HttpsAgent : HttpAgent)({ keepAlive: true, maxSockets: MAX_SOCKETS });
  const request = secure ? httpsRequest : httpRequest;
  const signingKey = rememberSigningKey(awsRegion);

  return {
    async head(key, signal) {
      const keys = await credentials();
      signal?.throwIfAborted();
      const path = `${folder}/${key.split("/").map(encode).join("/")}`;
      const headers = sign(keys, path);
      return new Promise((resolve, reject) => {
        const call: RequestOptions = {
          agent,
          method: "HEAD",
          host: base.hostname,
          port: base.port,
          path,
          headers,
          timeout: timeoutMs,
          ...(signal ? { signal } : {}),
        };
        const sent = request(call, (answer) => {
          answer.resume();
          answer.once("end", () => {
            const { statusCode, headers: facts } = answer;
            if (statusCode === 404) return resolve(undefined);
            resolve(statusCode === 200 ? factsOf(facts) : "unclear");
          });
        });
        sent.once("timeout", () => sent.destroy(new Error(`no answer within ${timeoutMs} ms`)));
        sent.once("error", reject);
        sent.end();
      });
    },
    close: () => agent.destroy(),
  };

  /** The headers of the request, Authorization among them; see "Signature calculations for the Authorization header" in S3's reference. */
  function sign({ accessKeyId, secretAccessKey, sessionToken }: Credentials, path: string) {
    const at = `${new Date().toISOString().slice(0, 19).replaceAll(/[:-]/g, "")}Z`;
    const date = at.slice(0, 8);
    const signed: Record<string, string> = {
      host: base.host,
      "x-amz-checksum-mode": "ENABLED",
      "x-amz-content-sha256": EMPTY_SHA256,
      "x-amz-date": at,
      ...(sessionToken ? { "x-amz-security-token": sessionToken } : {}),
    };
    const names = Object.keys(signed);
    const lines = names.map((name) => `${name}:${signed[name]}\n`).join("");
    const list = names.join(";");
    const canonical = `HEAD\n${path}\n\n${lines}\n${list}\n${EMPTY_SHA256}`;
    const scope = `${date}/${awsRegion}/s3/aws4_request`;
    const digest = hash("sha256", canonical, "hex");
    const signature = createHmac("sha256", signingKey(secretAccessKey, date))
      .update(`AWS4-HMAC-SHA256\n${at}\n${scope}\n${digest}`)
      .digest("hex");
    signed["authorization"] =
      `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${list}, Signature=${signature}`;
    return signed;
  }
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
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function factsOf(headers: NodeJS.Dict<string | string[]>): ObjectFacts {
  const one = (name: string) => {
    const value = headers[name];
    return typeof value === "string" ? value : undefined;
  };
  const modified = one("last-modified");
  return {
    ContentLength: Number(one("content-length") ?? 0),
    ContentType: one("content-type"),
    ETag: one("etag"),
    LastModified: modified === undefined ? undefined : new Date(modified),
    ChecksumSHA256: one("x-amz-checksum-sha256"),
  };
}
