/** Seconds between two time tokens. */
const STEP_S = 0.02;

/** A piece of what was said in a window; times count from the window's start. */
export interface TimedPiece {
  start_s: number;
  end_s: number;
  tokens: number[];
}

/**
 * Takes an answer apart at its times. A piece without an end lasts as long as the window's speech; no time lies
 * beyond it. Pieces without any text are left out.
 *
 * @param durationS of the audio in the window; the rest is silence that was added
 */
export function timedPieces(
  tokens: readonly number[],
  firstTime: number,
  end: number,
  durationS: number,
): TimedPiece[] {
  const pieces: TimedPiece[] = [];
  let start_s = 0;
  let text: number[] = [];
  const close = (end_s: number): void => {
    if (text.length > 0) pieces.push({ start_s, end_s: Math.max(start_s, end_s), tokens: text });
    text = [];
  };
  for (const token of tokens) {
    if (token >= firstTime) {
      const time_s = Math.min(durationS, Math.round((token - firstTime) * STEP_S * 100) / 100);
      close(time_s);
      start_s = time_s;
    } else if (token < end) {
      text.push(token);
    }
  }
  close(durationS);
  return pieces;
}
