import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ModelEntry, PinnedModel } from "../../../regions/speech/models/model-entry.ts";

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

/** Git's name of a content. */
const gitOid = (content: Buffer) =>
  createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");

/** The same model as its manifest has it when hashes are left to the first pull. */
export function unpinned(model: PinnedModel, revision = "main"): ModelEntry {
  return {
    ...model,
    source: { type: "huggingface", repo: "someone/tiny", revision },
    files: model.files.map(({ path }) => ({ path })),
  };
}

export type Answer = (response: ServerResponse, request: IncomingMessage) => void | Promise<void>;

/** What the hub says of a revision. */
export interface HubListing {
  sha: string;
  siblings: {
    rfilename: string;
    size: number;
    blobId: string;
    lfs?: { sha256: string; size: number; pointerSize: number };
  }[];
  cardData: { license: string };
}

/** A server on this machine that keeps files as the hub does, with strong tags and ranges, and can be made to misbehave. */
export async function startHub(files: Record<string, Buffer> = {}) {
  const contents = new Map(Object.entries(files));
  const requests: { path: string; headers: IncomingHttpHeaders }[] = [];
  const misbehaviours: Answer[] = [];
  let sent = 0;
  let commit = REVISION;
  let tell: (listing: HubListing) => unknown = (listing) => listing;
  let always: Answer | undefined;

  /** As the hub does: what is large has a hash of its content, what is small one of git's. */
  const listing = (): HubListing => ({
    sha: commit,
    siblings: [...contents].map(([rfilename, content]) => ({
      rfilename,
      size: content.length,
      blobId: gitOid(content),
      ...(content.length < 1000
        ? {}
        : { lfs: { sha256: sha256(content), size: content.length, pointerSize: 130 } }),
    })),
    cardData: { license: "apache-2.0" },
  });

  /** As a good server would. */
  const serve: Answer = (response, request) => {
    const prefix = `/someone/tiny/resolve/${commit}/`;
    const path = decodeURIComponent(request.url ?? "");
    if (/^\/api\/models\/someone\/tiny\/revision\/[^/?]+\?blobs=true$/.test(path)) {
      return void response.writeHead(200).end(JSON.stringify(tell(listing())));
    }
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
    /** The branch is at another commit from now on. */
    move: (to: string) => void (commit = to),
    /** Changes what the hub says of its files. */
    tell: (change: (listing: HubListing) => unknown) => void (tell = change),
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
