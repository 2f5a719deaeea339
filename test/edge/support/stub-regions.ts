import { AwsV4Signer } from "aws4fetch";
import { onTestFinished, vi } from "vitest";
import { hashApiKey, mintApiKey, type KeyRecord } from "../../../shared/contracts/api-key.ts";
import type { ErrorCode } from "../../../shared/errors/catalogue.ts";
import { ApiError, problemResponse } from "../../../shared/errors/problem.ts";
import { SIGNATURE_HEADER, verifyLinkRequest } from "../../../shared/signing/link-signature.ts";
import { accessKeyOf, linkSecretOf } from "./bindings.ts";

export interface RegionRequest {
  region: string;
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Headers;
  // What a request holds is up to each test.
  body: Record<string, unknown>;
}

export type Answer = (request: RegionRequest) => unknown;

/** Fails when the signal is aborted, as a fetch does. */
function abortOf(signal: AbortSignal | null | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}

/**
 * Regions as the edge meets them over HTTP, in place of the network: they check every signature, and
 * answer as a test says. Everything past them is another system, which is tested for real elsewhere.
 */
export function stubRegions() {
  const keys = new Map<string, KeyRecord>();
  const multiparts = new Map<string, string>();
  const objects = new Map<string, { bytes: Uint8Array<ArrayBuffer>; type: string }>();
  const answers = new Map<string, Answer>();
  const requests: RegionRequest[] = [];
  const objectRequests: { region: string; method: string; headers: Headers }[] = [];
  const down = new Set<string>();
  const elsewhere = new Map<string, (request: Request) => Response | Promise<Response>>();

  answers.set("POST /internal/keys/lookup", ({ body }) => ({
    key: keys.get(String(body["key_hash"])) ?? null,
  }));
  answers.set("POST /internal/jobs", ({ body }) =>
    Response.json(
      { job_id: body["id"], dispatch: body["dispatch"], duplicate: false, queue_position: 0 },
      { status: 202 },
    ),
  );

  async function answerApi(region: string, request: Request): Promise<Response> {
    const url = new URL(request.url);
    const text = await request.text();
    const target = url.pathname + url.search;
    if (url.pathname !== "/readyz") {
      await verifyLinkRequest(
        [linkSecretOf(region)],
        { method: request.method, target, body: text, audience: region },
        request.headers.get(SIGNATURE_HEADER),
        () => true,
      );
    }
    const asked: RegionRequest = {
      region,
      method: request.method,
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>),
    };
    requests.push(asked);
    const name = url.pathname.startsWith("/internal/jobs/job_")
      ? "/internal/jobs/{id}"
      : url.pathname;
    const answer = answers.get(`${request.method} ${name}`);
    if (!answer) throw new ApiError("not_found");
    const value = await answer(asked);
    return value instanceof Response ? value : Response.json(value);
  }

  /** An upload in parts is begun, or put together from parts whose tags the bucket knows. */
  function answerMultipart(name: string, url: URL, xml: string): Response {
    if (url.searchParams.has("uploads")) {
      const id = `multipart-${multiparts.size}~+/=`;
      multiparts.set(name, id);
      return new Response(
        `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
      );
    }
    const code =
      multiparts.get(name) !== url.searchParams.get("uploadId")
        ? "NoSuchUpload"
        : /<ETag>"missing"/.test(xml)
          ? "InvalidPart"
          : undefined;
    if (code) return new Response(`<Error><Code>${code}</Code></Error>`, { status: 400 });
    objects.set(name, { bytes: Uint8Array.from(new TextEncoder().encode(xml)), type: "" });
    return new Response("<CompleteMultipartUploadResult></CompleteMultipartUploadResult>");
  }

  async function answerObjects(region: string, request: Request): Promise<Response> {
    const { method, headers } = request;
    objectRequests.push({ region, method, headers });
    if (!(await isSigned(region, request))) return new Response(null, { status: 403 });
    const name = region + new URL(request.url).pathname;
    if (method === "POST") return answerMultipart(name, new URL(request.url), await request.text());
    if (method === "PUT") {
      const bytes = new Uint8Array(await request.arrayBuffer());
      objects.set(name, { bytes, type: headers.get("content-type") ?? "" });
      return new Response(null, { headers: { etag: `"etag-of-${bytes.length}"` } });
    }
    const found = objects.get(name);
    if (!found) return new Response(null, { status: 404 });
    const shared = { "content-type": found.type };
    const size = found.bytes.length;
    const range = /^bytes=(\d+)-(\d*)$/.exec(headers.get("range") ?? "");
    if (!range) {
      const body = method === "HEAD" ? null : found.bytes;
      return new Response(body, { headers: { ...shared, "content-length": String(size) } });
    }
    const from = Number(range[1]);
    const to = Math.min(range[2] ? Number(range[2]) : size - 1, size - 1);
    if (from >= size) {
      return new Response(null, { status: 416, headers: { "content-range": `bytes */${size}` } });
    }
    return new Response(found.bytes.slice(from, to + 1), {
      status: 206,
      headers: {
        ...shared,
        "content-length": String(to + 1 - from),
        "content-range": `bytes ${from}-${to}/${size}`,
      },
    });
  }

  vi.stubGlobal("fetch", async (input: RequestInfo | URL, init?: RequestInit) => {
    const request = new Request(input as RequestInfo, init);
    const { hostname } = new URL(request.url);
    const host = elsewhere.get(hostname);
    if (host) return host(request);
    const [region = "", kind] = hostname.split(".");
    if (down.has(region)) throw new Error("Network connection lost.");
    if (kind === "objects") return answerObjects(region, request);
    const answer = answerApi(region, request).catch((error: unknown) => {
      if (error instanceof Error && error.name === "TimeoutError") throw error;
      return problemResponse(error, "req_stub");
    });
    return Promise.race([answer, abortOf(init?.signal)]);
  });
  onTestFinished(() => void vi.unstubAllGlobals());

  /** Makes an API key that the regions know. */
  async function addKey(more: Partial<KeyRecord> & { tenant_id: string }): Promise<string> {
    const key = mintApiKey("test", crypto.getRandomValues(new Uint8Array(32)));
    keys.set(await hashApiKey(key), {
      key_id: `key_${crypto.randomUUID()}`,
      residency: "global",
      scopes: ["analyze"],
      expires_at: null,
      revoked_at: null,
      ...more,
    });
    return key;
  }

  return {
    addKey,
    keys,
    objects,
    requests,
    objectRequests,
    /** Regions to which no connection can be made. */
    down,
    /** Hosts that are no region's, by name. */
    elsewhere,
    /** Answers `METHOD /path` in every region; a thrown ApiError becomes a problem, a TimeoutError no answer. */
    on: (name: string, answer: Answer) => void answers.set(name, answer),
    refuse: (name: string, code: ErrorCode) =>
      void answers.set(name, () => {
        throw new ApiError(code);
      }),
    asked: (path: string) => requests.filter((request) => request.path === path),
  };
}

/** Signs the request anew and compares. */
async function isSigned(region: string, request: Request): Promise<boolean> {
  const { id, secret } = accessKeyOf(region);
  const given = request.headers.get("authorization");
  const datetime = request.headers.get("x-amz-date");
  if (given === null || datetime === null) return false;
  const names = /SignedHeaders=([^,]+)/.exec(given)?.[1]?.split(";") ?? [];
  const headers = new Headers();
  for (const name of names) if (name !== "host") headers.set(name, request.headers.get(name) ?? "");
  const signer = new AwsV4Signer({
    method: request.method,
    url: request.url,
    headers,
    accessKeyId: id,
    secretAccessKey: secret,
    service: "s3",
    region: "us-east-1",
    datetime,
    allHeaders: true,
  });
  return (await signer.authHeader()) === given;
}
