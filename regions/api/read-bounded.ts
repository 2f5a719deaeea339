import { ApiError } from "../../shared/errors/problem.ts";

// A byte order mark is kept: the text must have the bytes that were signed.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The body of a request as text, stopped as soon as it is larger than `maxBytes`.
 * @throws ApiError body_too_large | invalid_request (not UTF-8)
 */
export async function readBounded(request: Request, maxBytes: number): Promise<string> {
  const tooLarge = () => new ApiError("body_too_large", `At most ${maxBytes} bytes.`);
  const declared = request.headers.get("content-length");
  if (Number(declared ?? 0) > maxBytes) throw tooLarge();
  // Node holds a body to the length that was declared for it, so that one may be read without counting, which is faster.
  const bytes =
    declared === null
      ? await readCounting(request, maxBytes, tooLarge)
      : new Uint8Array(await request.arrayBuffer());
  if (bytes.byteLength > maxBytes) throw tooLarge();
  try {
    return decoder.decode(bytes);
  } catch {
    throw new ApiError("invalid_request", "The body is not UTF-8.");
  }
}

async function readCounting(
  request: Request,
  maxBytes: number,
  tooLarge: () => ApiError,
): Promise<Uint8Array> {
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop cancels the stream.
  for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
