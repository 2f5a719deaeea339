import { S3Error } from "./s3-error.ts";

const MAX_LINE_BYTES = 4096;
const MAX_TRAILERS = 8;

/**
 * Yields the data of an `aws-chunked` body without holding a chunk whole, and puts the trailing
 * headers (lower-case names) into `trailers`.
 * @throws S3Error IncompleteBody when the body ends early or is not framed as promised
 */
export async function* decodeAwsChunked(
  source: AsyncIterable<Buffer>,
  trailers: Map<string, string>,
): AsyncGenerator<Buffer> {
  let state: "size" | "data" | "data-end" | "trailer" | "done" = "size";
  let line = "";
  let remaining = 0;
  for await (const buffer of source) {
    let at = 0;
    while (at < buffer.length) {
      if (state === "done") throw broken("It goes on after its end.");
      if (state === "data") {
        const piece = buffer.subarray(at, at + remaining);
        at += piece.length;
        remaining -= piece.length;
        if (remaining === 0) state = "data-end";
        yield piece;
        continue;
      }
      const end = buffer.indexOf(10, at);
      line += buffer.toString("latin1", at, end < 0 ? buffer.length : end + 1);
      at = end < 0 ? buffer.length : end + 1;
      if (line.length > MAX_LINE_BYTES) throw broken("A line is too long.");
      if (end < 0) continue;
      if (!line.endsWith("\r\n")) throw broken("A line does not end in CRLF.");
      const text = line.slice(0, -2);
      line = "";
      if (state === "size") {
        remaining = chunkSize(text);
        state = remaining === 0 ? "trailer" : "data";
      } else if (state === "data-end") {
        if (text !== "") throw broken("A chunk is longer than its size.");
        state = "size";
      } else if (text === "") {
        state = "done";
      } else {
        const colon = text.indexOf(":");
        if (colon < 1 || trailers.size >= MAX_TRAILERS) throw broken("A trailer is malformed.");
        trailers.set(text.slice(0, colon).trim().toLowerCase(), text.slice(colon + 1).trim());
      }
    }
  }
  if (state !== "done") throw broken("It ends early.");
}

function chunkSize(text: string): number {
  if (!/^[0-9a-fA-F]{1,10}$/.test(text)) throw broken("A chunk has no size.");
  return Number.parseInt(text, 16);
}

function broken(reason: string): S3Error {
  return new S3Error("IncompleteBody", `The aws-chunked body is not well formed. ${reason}`);
}
