import type { SpeechSegment } from "../../../shared/contracts/analysis-result.ts";
import { SAMPLE_RATE } from "../decode/sample-format.ts";

/** Samples [from, to) of a recording. */
export interface SamplePiece {
  from: number;
  to: number;
}

/** What a model hears at once: pieces of speech, one after the other without the pauses between them. */
export interface SpeechWindow {
  pieces: SamplePiece[];
  /** Samples of all pieces. */
  length: number;
}

export interface WindowOptions {
  /** Less speech gives no window, seconds. */
  minSpeechS: number;
  /** Longest window, seconds. */
  windowS: number;
  /** Of longer speech so many windows are heard, spread evenly; bounds the work for a recording of any length. */
  maxWindows: number;
}

/** Shorter windows have a length that is a whole number of these, so that those of different recordings share batches. */
const STEP = SAMPLE_RATE / 4;

/**
 * Cuts speech into windows of one length, and one shorter for the rest where that is long enough to be heard. Pauses are left
 * out: the length of a window is that of its speech.
 *
 * @param samples length of the recording
 */
export function planWindows(
  speech: readonly SpeechSegment[],
  samples: number,
  { minSpeechS, windowS, maxWindows }: WindowOptions,
): SpeechWindow[] {
  const pieces = toPieces(speech, samples);
  const total = pieces.reduce((sum, { from, to }) => sum + to - from, 0);
  const shortest = Math.round(minSpeechS * SAMPLE_RATE);
  const full = Math.floor(windowS * SAMPLE_RATE);
  const count = Math.floor(total / full);
  if (count > maxWindows || (count === maxWindows && total > count * full)) {
    const last = maxWindows - 1;
    return Array.from({ length: maxWindows }, (_, i) =>
      cut(pieces, last === 0 ? 0 : Math.round((i * (total - full)) / last), full),
    );
  }
  const windows = Array.from({ length: count }, (_, i) => cut(pieces, i * full, full));
  const rest = total - count * full;
  if (rest >= shortest) {
    const length = Math.max(shortest, Math.floor(rest / STEP) * STEP);
    windows.push(cut(pieces, count * full, length));
  }
  return windows;
}

/** Segments as samples: within the recording, in order and apart from one another. */
function toPieces(speech: readonly SpeechSegment[], samples: number): SamplePiece[] {
  const pieces: SamplePiece[] = [];
  let end = 0;
  for (const { start_s, end_s } of speech.toSorted((a, b) => a.start_s - b.start_s)) {
    const from = Math.max(end, Math.round(start_s * SAMPLE_RATE));
    const to = Math.min(samples, Math.round(end_s * SAMPLE_RATE));
    if (to <= from) continue;
    pieces.push({ from, to });
    end = to;
  }
  return pieces;
}

/** `length` samples of speech from `start` on, counted without the pauses. */
function cut(pieces: readonly SamplePiece[], start: number, length: number): SpeechWindow {
  const own: SamplePiece[] = [];
  let before = 0;
  for (const { from, to } of pieces) {
    const first = from + Math.max(0, start - before);
    const last = from + Math.min(to - from, start + length - before);
    if (last > first) own.push({ from: first, to: last });
    before += to - from;
  }
  return { pieces: own, length };
}
