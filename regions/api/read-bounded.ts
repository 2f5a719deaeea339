import { ApiError } from "../../shared/errors/problem.ts";

/**
 * The body of a request as text, stopped as soon as it is larger than `maxBytes`.
 * @throws ApiError body_too_large | invalid_request (not UTF-8)
 */
export async function readBounded(request: Request, maxBytes: number): Promise<string> {
  const tooLarge = () => new ApiError("body_too_large", `At most ${maxBytes} bytes.`);
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge();
  if (request.body === null) return "";
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop cancels the stream.
  for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  try {
    // A byte order mark is kept: the text must have the bytes that were signed.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new ApiError("invalid_request", "The body is not UTF-8.");
  }
}
