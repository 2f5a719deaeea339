import { ApiError } from "../../shared/errors/problem.ts";

/** Largest JSON body of a public call, and of a call from a region. */
export const MAX_JSON_BYTES = 64 * 1024;
export const MAX_INTERNAL_BYTES = 1024 * 1024;

interface Readable {
  readonly body: ReadableStream | null;
}

/**
 * The body as text, read no further than `limit` bytes whatever Content-Length says.
 * @throws ApiError body_too_large
 */
export async function readText(message: Readable, limit: number): Promise<string> {
  if (!message.body) return "";
  const reader = (message.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text + decoder.decode();
      bytes += value.byteLength;
      if (bytes > limit) {
        throw new ApiError("body_too_large", `The body is larger than ${limit} bytes.`);
      }
      text += decoder.decode(value, { stream: true });
    }
  } catch (error) {
    await reader.cancel().catch(() => undefined);
    throw error;
  } finally {
    reader.releaseLock();
  }
}

/**
 * The body as bytes, read no further than `limit` whatever Content-Length says.
 * @throws ApiError body_too_large
 */
export async function readBytes(
  message: Readable,
  limit: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (message.body ?? []) as AsyncIterable<Uint8Array>) {
    length += chunk.byteLength;
    // Leaving the loop cancels the body.
    if (length > limit) {
      throw new ApiError("body_too_large", `The body is larger than ${limit} bytes.`);
    }
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
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
export async function readJsonText(request: Request): Promise<string> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new ApiError("unsupported_media_type", "Send application/json.");
  }
  return readText(request as Readable, MAX_JSON_BYTES);
}
