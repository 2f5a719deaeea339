import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { createCors } from "./cors.ts";
import { findOperation } from "./find-operation.ts";
import type { StoreServices } from "./operation.ts";
import { createRequestId, parseRequest } from "./parse-request.ts";
import { S3Error } from "./s3-error.ts";
import { renderXml } from "./s3-xml.ts";
import { sendAnswer } from "./send-answer.ts";
import type { createSignatureVerifier } from "./verify-signature.ts";

const MAX_DRAIN_BYTES = 64 * 1024 * 1024;
const MAX_DRAIN_MS = 5_000;

interface RequestHandlerOptions {
  services: StoreServices;
  verifySignature: ReturnType<typeof createSignatureVerifier>;
  cors: ReturnType<typeof createCors>;
  /** What GET /-/healthz says. */
  health: () => Record<string, unknown>;
  log: Logger;
}

/** Returns the function that answers one HTTP request; failures become S3 errors. */
export function createRequestHandler(options: RequestHandlerOptions) {
  const { services, verifySignature, cors, health, log } = options;

  return async function handleRequest(
    message: IncomingMessage,
    response: ServerResponse,
    waitsToSend: boolean,
  ): Promise<void> {
    const id = createRequestId();
    response.setHeader("x-amz-request-id", id);
    // Without it the signature's query would be in the log.
    const path = (message.url ?? "").split("?", 1)[0] ?? "";
    let asked = !waitsToSend;
    function askForBody(): void {
      if (!asked) response.writeContinue();
      asked = true;
    }
    try {
      cors.decorate(message, response);
      if (path === "/-/healthz" && message.method === "GET") {
        const body = JSON.stringify(health());
        sendAnswer(response, 200, { "content-type": "application/json" }, body);
        return;
      }
      if (cors.answerPreflight(message, response)) return;
      const request = parseRequest(message, id, askForBody);
      const { payloadHash } = verifySignature(request);
      await findOperation(request)(services, { request, response, payloadHash });
      const { statusCode: status } = response;
      log.debug({ request: id, method: message.method, path, status }, "answered");
    } catch (error) {
      const refusal = toS3Error(error);
      const about = { request: id, method: message.method, path, code: refusal.code };
      if (response.headersSent || (message.destroyed && !message.complete)) {
        log.info({ ...about, reason: String(error) }, "the client went away");
        response.destroy();
        return;
      }
      if (refusal.status >= 500 && refusal.status !== 501) log.error({ ...about, err: error });
      else log.info(about, "refused");
      await refuse(message, response, refusal, path, id, asked);
    }
  };
}

async function refuse(
  message: IncomingMessage,
  response: ServerResponse,
  refusal: S3Error,
  path: string,
  id: string,
  bodyFollows: boolean,
): Promise<void> {
  const body = renderXml("Error", {
    Code: refusal.code,
    Message: refusal.message,
    Resource: path,
    RequestId: id,
  });
  for (const name of response.getHeaderNames()) {
    if (!name.startsWith("x-amz-request") && !name.startsWith("access-") && name !== "vary") {
      response.removeHeader(name);
    }
  }
  for (const [name, value] of Object.entries(refusal.headers)) response.setHeader(name, value);
  response.setHeader("content-type", "application/xml");
  response.setHeader("content-length", Buffer.byteLength(body));
  if (!message.complete) response.setHeader("connection", "close");
  response.writeHead(refusal.status);
  if (message.method !== "HEAD") response.write(body);
  // Closing while the client still sends would reset the connection before it reads the answer.
  if (!message.complete && bodyFollows) await drain(message);
  response.end();
}

async function drain(message: IncomingMessage): Promise<void> {
  const timer = new AbortController();
  const late = sleep(MAX_DRAIN_MS, undefined, { signal: timer.signal }).catch(() => undefined);
  let bytes = 0;
  const drained = new Promise<void>((resolve) => {
    message.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_DRAIN_BYTES) resolve();
    });
    message.once("close", resolve);
    message.once("end", resolve);
    message.once("error", () => resolve());
    message.resume();
  });
  try {
    await Promise.race([late, drained]);
  } finally {
    timer.abort();
  }
}

function toS3Error(error: unknown): S3Error {
  if (error instanceof S3Error) return error;
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === "ENOSPC" || code === "EDQUOT" || code === "EMFILE") {
    return new S3Error("ServiceUnavailable", "The store has no room at present. Try again later.");
  }
  return new S3Error("InternalError", "We encountered an internal error. Please try again.");
}
