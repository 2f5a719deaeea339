import type { SpeechSegment } from "../../../shared/contracts/analysis-result.ts";

export interface UtteranceOptions {
  /** Longest utterance without what is added on both sides, seconds: bounds an engine's memory and the wait for its answer. */
  maxS: number;
  /** Speech that is not farther apart than this is one utterance, seconds: words are guessed from those around them. */
  joinS: number;
  /** Added on both sides, as far as there is room, seconds. */
  padS: number;
}

/**
 * Turns segments of speech into utterances for an engine: ordered, apart from one another, within the recording, at whole
 * hundredths of a second. Speech that goes on for longer than `maxS` is cut where it is quietest.
 *
 * @param quietest the quietest moment between two times, seconds
 */
export function planUtterances(
  speech: readonly SpeechSegment[],
  durationS: number,
  quietest: (fromS: number, toS: number) => number,
  { maxS, joinS, padS }: UtteranceOptions,
): SpeechSegment[] {
  const pieces = speech.flatMap((segment) => cut(segment, maxS, quietest));
  const joined: SpeechSegment[] = [];
  for (const piece of pieces) {
    const last = joined.at(-1);
    const close = last !== undefined && piece.start_s - last.end_s <= joinS;
    if (close && piece.end_s - last.start_s <= maxS) last.end_s = piece.end_s;
    else joined.push({ ...piece });
  }
  return joined
    .map(({ start_s, end_s }, i) => {
      const before = joined[i - 1]?.end_s;
      const after = joined[i + 1]?.start_s;
      const roomBefore = before === undefined ? start_s : (start_s - before) / 2;
      const roomAfter = after === undefined ? durationS - end_s : (after - end_s) / 2;
      return {
        start_s: hundredths(start_s - Math.min(padS, roomBefore)),
        // The recording's own end is not rounded beyond it.
        end_s: Math.min(
          hundredths(end_s + Math.min(padS, roomAfter)),
          Math.floor(durationS * 100) / 100,
        ),
      };
    })
    .filter(({ start_s, end_s }) => end_s > start_s);
}

/** Pieces of at most `maxS`, cut in the second half of what fits, so that none is a mere sliver. */
function cut(
  { start_s, end_s }: SpeechSegment,
  maxS: number,
  quietest: (fromS: number, toS: number) => number,
): SpeechSegment[] {
  const pieces: SpeechSegment[] = [];
  let from = start_s;
  while (end_s - from > maxS) {
    const at = quietest(from + maxS / 2, from + maxS);
    pieces.push({ start_s: from, end_s: at });
    from = at;
  }
  pieces.push({ start_s: from, end_s });
  return pieces;
}

function hundredths(time_s: number): number {
  return Math.round(time_s * 100) / 100;
}
