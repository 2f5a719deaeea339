import { AwsClient } from "aws4fetch";
import type { Region } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import type { EdgeConfig, RegionEndpoint } from "../env.ts";
import type { RegionHealth } from "../route/region-health.ts";

/** How long a presigned upload may be used. */
const PRESIGN_S = 15 * 60;
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

export interface ObjectStore {
  /** A URL for one PUT of exactly this length, type and (when declared) content. */
  presignPut(region: Region, key: string, input: PresignInput): Promise<PresignedPut>;
  /** Puts `body` into an object, streaming it where it is a stream. @throws ApiError dependency_unavailable */
  put(
    region: Region,
    key: string,
    body: ReadableStream | Uint8Array,
    contentType: string,
    timeoutMs?: number,
  ): Promise<void>;
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

  async function put(
    region: Region,
    key: string,
    body: ReadableStream | Uint8Array,
    contentType: string,
    timeoutMs = PUT_TIMEOUT_MS,
  ): Promise<void> {
    const { endpoint, aws } = open(region);
    const signed = await aws.sign(address(endpoint.objects, endpoint.bucket, key), {
      method: "PUT",
      headers: { "content-type": contentType, "x-amz-content-sha256": "UNSIGNED-PAYLOAD" },
    });
    let response: Response;
    try {
      response = await fetch(signed.url, {
        method: "PUT",
        headers: signed.headers,
        body,
        redirect: "manual",
        signal: AbortSignal.timeout(timeoutMs),
      });
    } catch (cause) {
      throw new ApiError("dependency_unavailable", "What was sent could not be stored.", { cause });
    }
    await response.body?.cancel();
    if (response.ok) return;
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

  return { presignPut, put, get };
}

function hexToBase64(hex: string): string {
  const bytes = hex.match(/../g) ?? [];
  return btoa(String.fromCharCode(...bytes.map((pair) => Number.parseInt(pair, 16))));
}
