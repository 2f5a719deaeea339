import { request as requestHttp, type IncomingMessage } from "node:http";
import { request as requestHttps } from "node:https";
import { ForbiddenAddressError, type AddressPolicy } from "./address-policy.ts";

/** How a try went: an answer's status, or why there was none. */
export type PostOutcome =
  | { status: number; retryAfterMs: number | null }
  | {
      error:
        | "address_refused"
        | "name_not_found"
        | "connection_failed"
        | "tls_failed"
        | "timed_out"
        | "answer_invalid";
    };

export interface PostWebhookOptions {
  addresses: AddressPolicy;
  /** From the name to the connection, TLS included. */
  connectTimeoutMs?: number;
  /** From the beginning to the answer's headers. */
  timeoutMs?: number;
  /** Of an answer's body so much is read, and dropped, for so long; then the connection is cut. */
  maxBodyBytes?: number;
  bodyTimeoutMs?: number;
  /** Unix ms. */
  now?: () => number;
}

export type PostWebhook = (
  url: string,
  message: { body: string; headers: Record<string, string> },
  signal: AbortSignal,
) => Promise<PostOutcome>;

/**
 * Sends one webhook. Never follows a redirect, never takes longer than its limits, reads no more of an answer than a few KiB, and
 * connects to no address but one that was checked for this very connection: a name that leads elsewhere meanwhile changes nothing.
 * @throws only when `signal` is aborted
 */
export function createPostWebhook(options: PostWebhookOptions): PostWebhook {
  const { addresses, connectTimeoutMs = 5000, timeoutMs = 15_000 } = options;
  const { maxBodyBytes = 4096, bodyTimeoutMs = 1000, now = Date.now } = options;

  return async (target, { body, headers }, signal) => {
    signal.throwIfAborted();
    // Addresses that stand in the URL itself are never looked up.
    if (addresses.faultOf(target) !== undefined) return { error: "address_refused" };
    const url = new URL(target);
    const secure = url.protocol === "https:";
    const limits = new AbortController();
    const stop = () => limits.abort(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    const total = setTimeout(() => limits.abort(TIMED_OUT), timeoutMs);
    const connecting = setTimeout(() => limits.abort(TIMED_OUT), connectTimeoutMs);
    try {
      return await new Promise<PostOutcome>((resolve, reject) => {
        const post = (secure ? requestHttps : requestHttp)(url, {
          method: "POST",
          // A connection of its own: no other target's is ever used again.
          agent: false,
          lookup: addresses.lookup,
          signal: limits.signal,
          headers: {
            "content-type": "application/json",
            "content-length": Buffer.byteLength(body),
            "user-agent": "Antiphon-Webhooks/1",
            accept: "*/*",
            ...headers,
          },
          ...(secure ? { minVersion: "TLSv1.2" as const } : {}),
        });
        post.on("socket", (socket) => {
          socket.once(secure ? "secureConnect" : "connect", () => clearTimeout(connecting));
        });
        post.on("response", (response) => {
          drop(response, maxBodyBytes, bodyTimeoutMs);
          resolve({
            status: response.statusCode ?? 0,
            retryAfterMs: readRetryAfter(response.headers["retry-after"], now()),
          });
        });
        // Without this the connection would be closed, and nothing more be heard of it: neither an answer nor an error.
        post.on("upgrade", (_, socket) => {
          socket.destroy();
          resolve({ error: "answer_invalid" });
        });
        post.on("error", (error) => {
          if (signal.aborted) reject(signal.reason as Error);
          else resolve({ error: nameOf(limits.signal.reason ?? error) });
        });
        // However it ends, it ends: a try that never does would keep its place for ever.
        post.on("close", () => resolve({ error: "connection_failed" }));
        post.end(body);
      });
    } finally {
      clearTimeout(total);
      clearTimeout(connecting);
      signal.removeEventListener("abort", stop);
    }
  };
}

const TIMED_OUT = new Error("the endpoint took too long");

/** What name servers, and the system's own look-up, say of a name that has no address, or of which they cannot tell one. */
const NO_ADDRESS = new Set([
  "ENOTFOUND",
  "EAI_AGAIN",
  "ENODATA",
  "ESERVFAIL",
  "EREFUSED",
  "EBADNAME",
  "EBADRESP",
  "EFORMERR",
  "ETIMEOUT",
]);

/** Lets a short body come to its end, so that its sender sees no fault, and cuts any other. */
function drop(response: IncomingMessage, maxBytes: number, patienceMs: number): void {
  let bytes = 0;
  const timer = setTimeout(() => response.destroy(), patienceMs);
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > maxBytes) response.destroy();
  });
  response.on("error", () => undefined);
  response.on("close", () => clearTimeout(timer));
}

function nameOf(error: unknown): Extract<PostOutcome, { error: string }>["error"] {
  if (error === TIMED_OUT) return "timed_out";
  if (error instanceof ForbiddenAddressError) return "address_refused";
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (NO_ADDRESS.has(code)) return "name_not_found";
  if (code.startsWith("HPE_")) return "answer_invalid";
  if (/^ERR_(TLS|SSL)|CERT|SIGNATURE|^EPROTO$/.test(code)) return "tls_failed";
  return "connection_failed";
}

/** Of a number of seconds or a date (RFC 9110, 10.2.3), in ms from now; null when it is neither. */
function readRetryAfter(text: string | undefined, nowMs: number): number | null {
  if (text === undefined) return null;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}
