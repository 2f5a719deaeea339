import type { SpeechSegment } from "../../../shared/contracts/analysis-result.ts";

export interface SegmentOptions {
  /** Probability from which speech begins. */
  threshold: number;
  /** Probability below which it may end; between the two, what was goes on. */
  releaseThreshold: number;
  /** Shorter speech is dropped, seconds. */
  minSpeechS: number;
  /** Shorter silence does not end speech, seconds. */
  minSilenceS: number;
  /** Added on both sides of a segment, as far as there is room, seconds. */
  padS: number;
  /** Length of a window, seconds. */
  windowS: number;
}

export const defaultSegmentOptions: SegmentOptions = {
  threshold: 0.5,
  releaseThreshold: 0.35,
  minSpeechS: 0.25,
  minSilenceS: 0.1,
  padS: 0.03,
  windowS: 512 / 16_000,
};

/**
 * Turns the probability of speech in each window into segments: ordered, apart from one another, within [0, durationS].
 * Times are whole milliseconds (save for an end that is the recording's). Hysteresis of two thresholds; segments that padding would make overlap share the gap between them.
 */
export function segmentSpeech(
  probabilities: ArrayLike<number>,
  durationS: number,
  options: SegmentOptions = defaultSegmentOptions,
): SpeechSegment[] {
  const { minSpeechS, padS, windowS } = options;
  const raw = findSpeech(probabilities, options)
    .map(([from, to]) => ({ start_s: from * windowS, end_s: Math.min(to * windowS, durationS) }))
    .filter(({ start_s, end_s }) => end_s - start_s >= minSpeechS);
  return raw.map(({ start_s, end_s }, i) => {
    const before = raw[i - 1]?.end_s;
    const after = raw[i + 1]?.start_s;
    const roomBefore = before === undefined ? start_s : (start_s - before) / 2;
    const roomAfter = after === undefined ? durationS - end_s : (after - end_s) / 2;
    return {
      start_s: milliseconds(start_s - Math.min(padS, roomBefore)),
      end_s: Math.min(durationS, milliseconds(end_s + Math.min(padS, roomAfter))),
    };
  });
}

function milliseconds(time_s: number): number {
  return Math.round(time_s * 1000) / 1000;
}

/** Speech as [first window, window after the last). */
function findSpeech(
  probabilities: ArrayLike<number>,
  { threshold, releaseThreshold, minSilenceS, windowS }: SegmentOptions,
): [number, number][] {
  const found: [number, number][] = [];
  let begin: number | undefined;
  let quietSince: number | undefined;
  for (let i = 0; i < probabilities.length; i += 1) {
    const probability = probabilities[i] ?? 0;
    if (probability >= threshold) {
      begin ??= i;
      quietSince = undefined;
    } else if (begin !== undefined && probability < releaseThreshold) {
      quietSince ??= i;
      if ((i + 1 - quietSince) * windowS >= minSilenceS) {
        found.push([begin, quietSince]);
        begin = undefined;
        quietSince = undefined;
      }
    }
  }
  if (begin !== undefined) found.push([begin, probabilities.length]);
  return found;
}
