import { ApiError } from "../../shared/errors/problem.ts";

/** Largest JSON body of a public call, and of a call from a region. */
export const MAX_JSON_BYTES = 64 * 1024;
export const MAX_INTERNAL_BYTES = 1024 * 1024;

/** Whoever sends a small body, or a form with a file, for longer than this does so on purpose. */
const TEXT_WITHIN_MS = 30_000;
const BYTES_WITHIN_MS = 180_000;

interface Readable {
  readonly body: ReadableStream | null;
}

/**
 * The body as text, read no further than `limit` bytes whatever Content-Length says, and no longer than `withinMs`.
 * @throws ApiError body_too_large | body_too_slow
 */
export async function readText(
  message: Readable,
  limit: number,
  withinMs: number = TEXT_WITHIN_MS,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  await readChunks(message, { limit, withinMs }, (chunk) => {
    text += decoder.decode(chunk, { stream: true });
  });
  return text + decoder.decode();
}

/**
 * The body as bytes, read no further than `limit` whatever Content-Length says, and no longer than `withinMs`.
 * @throws ApiError body_too_large | body_too_slow
 */
export async function readBytes(
  message: Readable,
  limit: number,
  withinMs: number = BYTES_WITHIN_MS,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  const length = await readChunks(message, { limit, withinMs }, (chunk) => void chunks.push(chunk));
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

/** Hands the body on piece by piece; resolves to its length. */
async function readChunks(
  message: Readable,
  { limit, withinMs }: { limit: number; withinMs: number },
  take: (chunk: Uint8Array) => void,
): Promise<number> {
  if (!message.body) return 0;
  const reader = (message.body as ReadableStream<Uint8Array>).getReader();
  let timer: ReturnType<typeof setTimeout> | null = null;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ApiError("body_too_slow")), withinMs);
  });
  let bytes = 0;
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late]);
      if (done) return bytes;
      bytes += value.byteLength;
      if (bytes > limit) {
        throw new ApiError("body_too_large", `The body is larger than ${limit} bytes.`);
      }
      take(value);
    }
  } catch (error) {
    await reader.cancel().catch(() => undefined);
    throw error;
  } finally {
    clearTimeout(timer);
    reader.releaseLock();
  }
}

/**
 * Parses text as JSON.
 * @throws ApiError malformed_json
 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError("malformed_json");
  }
}

/**
 * The JSON text of a public POST.
 * @throws ApiError unsupported_media_type | body_too_large
 */
export async function readJsonText(
  request: Request,
  maxBytes: number = MAX_JSON_BYTES,
  withinMs: number = TEXT_WITHIN_MS,
): Promise<string> {
  requireJson(request);
  return readText(request as Readable, maxBytes, withinMs);
}

/**
 * The JSON text of a public POST of which each field has a default: without a body it is `{}`.
 * @throws ApiError unsupported_media_type | body_too_large
 */
export async function readOptionalJsonText(request: Request): Promise<string> {
  const text = await readText(request as Readable, MAX_JSON_BYTES);
  if (text === "") return "{}";
  requireJson(request);
  return text;
}

function requireJson(request: Request): void {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new ApiError("unsupported_media_type", "Send application/json.");
  }
}
