import { deflateSync } from "node:zlib";

/** How many times shorter a text gets by deflating it: speech stays below 2.4, a text that goes round in circles does not. */
export function deflatedRatio(text: string): number {
  const bytes = Buffer.from(text);
  return bytes.length === 0 ? 0 : bytes.length / deflateSync(bytes).length;
}
