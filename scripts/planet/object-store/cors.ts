import type { IncomingMessage, ServerResponse } from "node:http";
import { sendAnswer } from "./send-answer.ts";

const METHODS = "GET, HEAD, PUT";
const EXPOSED = [
  "ETag",
  "Content-Range",
  "Accept-Ranges",
  "x-amz-request-id",
  "x-amz-checksum-crc32",
  "x-amz-checksum-sha256",
  "x-amz-replication-status",
].join(", ");

/** Lets browsers of the given origins ("*": all) use presigned URLs. */
export function createCors(origins: readonly string[]) {
  function allowedOrigin(message: IncomingMessage): string | undefined {
    const { origin } = message.headers;
    if (origin === undefined) return undefined;
    if (origins.includes("*")) return "*";
    return origins.includes(origin) ? origin : undefined;
  }

  /** Adds what a browser needs to read the answer. */
  function decorate(message: IncomingMessage, response: ServerResponse): void {
    if (!origins.includes("*")) response.setHeader("vary", "origin");
    const origin = allowedOrigin(message);
    if (origin === undefined) return;
    response.setHeader("access-control-allow-origin", origin);
    response.setHeader("access-control-expose-headers", EXPOSED);
  }

  /** Answers a preflight, which browsers send unsigned; returns false for any other request. */
  function answerPreflight(message: IncomingMessage, response: ServerResponse): boolean {
    const method = message.headers["access-control-request-method"];
    if (message.method !== "OPTIONS" || method === undefined) return false;
    if (allowedOrigin(message) === undefined || !METHODS.split(", ").includes(method)) {
      sendAnswer(response, 403);
      return true;
    }
    sendAnswer(response, 200, {
      "access-control-allow-methods": METHODS,
      "access-control-allow-headers": message.headers["access-control-request-headers"],
      "access-control-max-age": "3000",
      vary: "origin, access-control-request-method, access-control-request-headers",
    });
    return true;
  }

  return { decorate, answerPreflight };
}
