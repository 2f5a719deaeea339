import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { PinnedModel } from "../../../regions/speech/models/model-entry.ts";

export const sha256 = (content: Buffer | string) =>
  createHash("sha256").update(content).digest("hex");

/** Bytes that look random and are the same each time. */
export function noise(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export const REVISION = "0123456789abcdef0123456789abcdef01234567";

/** An entry for a model of these files; the hub of `startHub` serves them under its addresses. */
export function modelOf(files: Record<string, Buffer>, name = "tiny"): PinnedModel {
  return {
    name,
    version: "1.0",
    task: "transcribe",
    source: { type: "huggingface", repo: "someone/tiny", revision: REVISION },
    files: Object.entries(files).map(([path, content]) => ({
      path,
      bytes: content.length,
      sha256: sha256(content),
    })),
    licence: "CC-BY-NC-4.0",
    commercial_use: false,
    memory_mb: 1,
  };
}

export type Answer = (response: ServerResponse, request: IncomingMessage) => void | Promise<void>;

/** A server on this machine that keeps files as the hub does, with strong tags and ranges, and can be made to misbehave. */
export async function startHub(files: Record<string, Buffer> = {}) {
  const contents = new Map(Object.entries(files));
  const requests: { path: string; headers: IncomingHttpHeaders }[] = [];
  const misbehaviours: Answer[] = [];
  let sent = 0;
  let always: Answer | undefined;

  /** As a good server would. */
  const serve: Answer = (response, request) => {
    const prefix = `/someone/tiny/resolve/${REVISION}/`;
    const path = decodeURIComponent(request.url ?? "");
    const content = path.startsWith(prefix) ? contents.get(path.slice(prefix.length)) : undefined;
    if (content === undefined) return void response.writeHead(404).end("Entry not found");
    const etag = `"${sha256(content)}"`;
    const { range, "if-range": condition } = request.headers;
    const from = /^bytes=(\d+)-$/.exec(range ?? "")?.[1];
    const start = condition === undefined || condition === etag ? Number(from ?? 0) : 0;
    if (start >= content.length) {
      return void response
        .writeHead(416, { "content-range": `bytes */${content.length}`, etag })
        .end();
    }
    const body = content.subarray(start);
    sent += body.length;
    const headers = { etag, "content-length": body.length };
    if (from === undefined || start === 0) response.writeHead(200, headers);
    else {
      response.writeHead(206, {
        ...headers,
        "content-range": `bytes ${start}-${content.length - 1}/${content.length}`,
      });
    }
    response.end(body);
  };

  const server = createServer((request, response) => {
    requests.push({ path: request.url ?? "", headers: request.headers });
    void (misbehaviours.shift() ?? always ?? serve)(response, request);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  return {
    endpoint: new URL(`http://127.0.0.1:${port}`),
    requests,
    serve,
    /** Puts or replaces a file. */
    put: (path: string, content: Buffer) => void contents.set(path, content),
    /** The next requests get these answers, one each. */
    next: (...answers: Answer[]) => void misbehaviours.push(...answers),
    /** Every request that nothing else was said for gets this answer. */
    always: (answer: Answer) => void (always = answer),
    /** Bytes of files that were sent by the book. */
    sent: () => sent,
    /** Counts bytes that a misbehaviour sent. */
    count: (bytes: number) => void (sent += bytes),
    async close(): Promise<void> {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
export type Hub = Awaited<ReturnType<typeof startHub>>;
