import { AwsClient } from "aws4fetch";
import type { Region } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { readText } from "../admit/read-body.ts";
import type { EdgeConfig, RegionEndpoint } from "../env.ts";
import type { RegionHealth } from "../route/region-health.ts";

/** How long a presigned upload may be used. */
const PRESIGN_S = 15 * 60;
/** Two gigabytes take a slow line hours. */
const PRESIGN_PARTS_S = 6 * 3600;
const CONTROL_TIMEOUT_MS = 10_000;
/** The bucket copies the parts together while we wait. */
const COMPLETE_TIMEOUT_MS = 60_000;
const MAX_XML_BYTES = 64 * 1024;
const HEADERS_TIMEOUT_MS = 5_000;
/** A stream of 25 MB from a slow client; after that the connection is not worth keeping. */
const PUT_TIMEOUT_MS = 5 * 60_000;

export interface PresignInput {
  contentType: string;
  bytes: number;
  /** Hex; S3 then refuses any other content. */
  sha256?: string | undefined;
}

export interface PresignedPut {
  url: string;
  /** What the client must send besides Content-Length, which every HTTP client sets by itself. */
  headers: Record<string, string>;
  expiresAtMs: number;
}

export interface UploadPart {
  multipartId: string;
  number: number;
  bytes: number;
}

export interface PresignedPart {
  url: string;
  expiresAtMs: number;
}

export interface ObjectStore {
  /** A URL for one PUT of exactly this length, type and (when declared) content. */
  presignPut(region: Region, key: string, input: PresignInput): Promise<PresignedPut>;
  /** Begins an upload in parts; resolves to the bucket's own id of it. @throws ApiError dependency_unavailable */
  createMultipart(region: Region, key: string, contentType: string): Promise<string>;
  /** A URL for one PUT of a part of exactly this length. */
  presignPart(region: Region, key: string, part: UploadPart): Promise<PresignedPart>;
  /**
   * Puts the parts together; repeating it changes nothing.
   * @throws ApiError upload_not_found | invalid_request (parts that are missing or too small) | dependency_unavailable
   */
  completeMultipart(
    region: Region,
    key: string,
    multipartId: string,
    parts: readonly { part_number: number; etag: string }[],
  ): Promise<void>;
  /**
   * Puts `body` into an object, streaming it where it is a stream; what is broken off leaves no object. `signal`: whoever sends the
   * body has failed, and not the bucket.
   * @throws ApiError dependency_unavailable
   */
  put(
    region: Region,
    key: string,
    body: ReadableStream | Uint8Array,
    contentType: string,
    timeoutMs?: number,
    signal?: AbortSignal,
  ): Promise<{ etag: string | undefined }>;
  /** GET or HEAD of an object; resolves with S3's answer, its body not yet read. @throws when there is no connection */
  get(region: Region, key: string, method: "GET" | "HEAD", range?: string): Promise<Response>;
}

/** The regions' buckets, with requests signed by aws4fetch (AWS Signature Version 4). */
export function createObjectStore(config: EdgeConfig, health: RegionHealth): ObjectStore {
  // Holds only derived signing keys, which do not belong to any one request.
  const signingKeys = new Map<string, ArrayBuffer>();

  function open(region: Region): { endpoint: RegionEndpoint; aws: AwsClient } {
    const endpoint = config.endpoints[region.id];
    if (!endpoint) throw new ApiError("region_unavailable");
    if (signingKeys.size > 100) signingKeys.clear();
    const aws = new AwsClient({
      accessKeyId: endpoint.access_key_id,
      secretAccessKey: endpoint.secret_access_key,
      service: "s3",
      region: endpoint.aws_region,
      cache: signingKeys,
      retries: 0,
    });
    return { endpoint, aws };
  }

  const address = (base: string, bucket: string, key: string) =>
    new URL(`${base.replace(/\/+$/, "")}/${bucket}/${key}`);

  async function presignPut(
    region: Region,
    key: string,
    input: PresignInput,
  ): Promise<PresignedPut> {
    const { endpoint, aws } = open(region);
    const url = address(endpoint.public_objects, endpoint.bucket, key);
    url.searchParams.set("X-Amz-Expires", String(PRESIGN_S));
    const headers: Record<string, string> = { "content-type": input.contentType };
    if (input.sha256) headers["x-amz-checksum-sha256"] = hexToBase64(input.sha256);
    const signed = await aws.sign(url, {
      method: "PUT",
      headers: { ...headers, "content-length": String(input.bytes) },
      // Length and type are left out of signatures by default; here they are the very point.
      aws: { signQuery: true, allHeaders: true },
    });
    return { url: signed.url, headers, expiresAtMs: Date.now() + PRESIGN_S * 1000 };
  }

  /** A POST about an upload in parts; resolves to the status and the XML of the answer. */
  async function control(
    region: Region,
    url: URL,
    init: { headers?: Record<string, string>; body?: string },
    timeoutMs: number,
  ): Promise<{ ok: boolean; text: string }> {
    try {
      const signed = await open(region).aws.sign(url, { method: "POST", ...init });
      const response = await fetch(signed.url, {
        method: "POST",
        headers: signed.headers,
        ...(init.body === undefined ? {} : { body: init.body }),
        redirect: "manual",
        signal: AbortSignal.timeout(timeoutMs),
      });
      const text = await readText(response, MAX_XML_BYTES, timeoutMs);
      health.answered(region.id);
      return { ok: response.ok, text };
    } catch (cause) {
      throw new ApiError("dependency_unavailable", "The bucket does not answer now.", { cause });
    }
  }

  async function createMultipart(
    region: Region,
    key: string,
    contentType: string,
  ): Promise<string> {
    const { endpoint } = open(region);
    const url = address(endpoint.objects, endpoint.bucket, key);
    url.searchParams.set("uploads", "");
    const headers = { "content-type": contentType };
    const { ok, text } = await control(region, url, { headers }, CONTROL_TIMEOUT_MS);
    const id = /<UploadId>([^<]{1,1024})<\/UploadId>/.exec(text)?.[1];
    if (ok && id !== undefined) return id;
    throw new ApiError("dependency_unavailable", "The bucket takes no upload now.", {
      cause: new Error(`the object store answered ${codeOf(text)}`),
    });
  }

  async function presignPart(
    region: Region,
    key: string,
    { multipartId, number, bytes }: UploadPart,
  ): Promise<PresignedPart> {
    const { endpoint, aws } = open(region);
    const url = address(endpoint.public_objects, endpoint.bucket, key);
    url.searchParams.set("partNumber", String(number));
    url.searchParams.set("uploadId", multipartId);
    url.searchParams.set("X-Amz-Expires", String(PRESIGN_PARTS_S));
    const signed = await aws.sign(url, {
      method: "PUT",
      headers: { "content-length": String(bytes) },
      aws: { signQuery: true, allHeaders: true },
    });
    return { url: signed.url, expiresAtMs: Date.now() + PRESIGN_PARTS_S * 1000 };
  }

  async function completeMultipart(
    region: Region,
    key: string,
    multipartId: string,
    parts: readonly { part_number: number; etag: string }[],
  ): Promise<void> {
    const { endpoint } = open(region);
    const url = address(endpoint.objects, endpoint.bucket, key);
    url.searchParams.set("uploadId", multipartId);
    const list = parts
      .toSorted((a, b) => a.part_number - b.part_number)
      .map(
        ({ part_number, etag }) =>
          `<Part><PartNumber>${part_number}</PartNumber><ETag>"${etag.replaceAll('"', "")}"</ETag></Part>`,
      );
    const body = `<CompleteMultipartUpload>${list.join("")}</CompleteMultipartUpload>`;
    const headers = { "content-type": "application/xml" };
    const { ok, text } = await control(region, url, { headers, body }, COMPLETE_TIMEOUT_MS);
    // A 200 may still hold an error: its head was sent before the parts were together.
    if (ok && text.includes("<CompleteMultipartUploadResult")) return;
    const code = codeOf(text);
    if (code === "NoSuchUpload") throw new ApiError("upload_not_found");
    if (/^(InvalidPart|InvalidPartOrder|EntityTooSmall|MalformedXML)$/.test(code)) {
      throw new ApiError("invalid_request", "The parts do not make an upload.", {
        errors: [{ path: "parts", message: code }],
      });
    }
    throw new ApiError("dependency_unavailable", "The bucket could not put the parts together.", {
      cause: new Error(`the object store answered ${code}`),
    });
  }

  async function put(
    region: Region,
    key: string,
    body: ReadableStream | Uint8Array,
    contentType: string,
    timeoutMs = PUT_TIMEOUT_MS,
    signal?: AbortSignal,
  ): Promise<{ etag: string | undefined }> {
    const { endpoint, aws } = open(region);
    const signed = await aws.sign(address(endpoint.objects, endpoint.bucket, key), {
      method: "PUT",
      headers: { "content-type": contentType, "x-amz-content-sha256": "UNSIGNED-PAYLOAD" },
    });
    let response: Response;
    const late = AbortSignal.timeout(timeoutMs);
    try {
      response = await fetch(signed.url, {
        method: "PUT",
        headers: signed.headers,
        body,
        redirect: "manual",
        signal: signal ? AbortSignal.any([late, signal]) : late,
      });
      health.answered(region.id);
    } catch (cause) {
      // A time that was too short, or a client that left, tells nothing of the region.
      if (!late.aborted && signal?.aborted !== true) health.failed(region.id);
      throw new ApiError("dependency_unavailable", "What was sent could not be stored.", { cause });
    }
    await response.body?.cancel();
    if (response.ok) return { etag: response.headers.get("etag") ?? undefined };
    const cause = new Error(`the object store answered ${response.status}`);
    throw new ApiError("dependency_unavailable", "What was sent could not be stored.", { cause });
  }

  async function get(
    region: Region,
    key: string,
    method: "GET" | "HEAD",
    range?: string,
  ): Promise<Response> {
    const { endpoint, aws } = open(region);
    const signed = await aws.sign(address(endpoint.objects, endpoint.bucket, key), { method });
    const headers = new Headers(signed.headers);
    if (range) headers.set("range", range);
    // The limit is on the time to the first byte: a long recording may take its time to stream.
    const gate = new AbortController();
    const timer = setTimeout(() => gate.abort(), HEADERS_TIMEOUT_MS);
    try {
      const response = await fetch(signed.url, {
        method,
        headers,
        redirect: "manual",
        signal: gate.signal,
      });
      health.answered(region.id);
      return response;
    } catch (error) {
      health.failed(region.id);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  return { presignPut, createMultipart, presignPart, completeMultipart, put, get };
}

const codeOf = (xml: string): string => /<Code>(\w{1,64})<\/Code>/.exec(xml)?.[1] ?? "no reason";

function hexToBase64(hex: string): string {
  const bytes = hex.match(/../g) ?? [];
  return btoa(String.fromCharCode(...bytes.map((pair) => Number.parseInt(pair, 16))));
}
