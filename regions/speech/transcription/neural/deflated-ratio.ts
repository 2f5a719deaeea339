import { deflateSync } from "node:zlib";

/** A text that deflates to less than a 2.4th of its size goes round in circles. */
export const MAX_DEFLATED = 2.4;

/** How many times shorter a text gets by deflating it: speech stays below 2.4, a text that goes round in circles does not. */
export function deflatedRatio(text: string): number {
  const bytes = Buffer.from(text);
  return bytes.length === 0 ? 0 : bytes.length / deflateSync(bytes).length;
}
