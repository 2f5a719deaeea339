import { SAMPLE_RATE } from "../../decode/sample-format.ts";

/** Half a second, in samples. */
const GRID = SAMPLE_RATE / 2;

/**
 * Samples of a window with the silence that is added to it, up to the next half second. Only windows of one length can share
 * a batch, and hardly two would be of one length as they are. What a window is heard as still depends on that window alone.
 */
export function paddedLength(samples: number): number {
  return Math.max(1, Math.ceil(samples / GRID)) * GRID;
}

/** As many as were seen of speech in English, and some more: an answer that is longer goes round in circles. */
const TOKENS_PER_S = 6.5;

/** Tokens that an answer to so many samples has at most, without the one that it begins with. */
export function tokenLimit(samples: number, maxTokens: number): number {
  return Math.min(Math.ceil((samples / SAMPLE_RATE) * TOKENS_PER_S), maxTokens - 1);
}
