import { turningPoints } from "./turning-points.ts";

/** How a contour rises and falls; slopes per second, falling ones positive. */
export interface ContourDynamics {
  peaks: number;
  meanRisingSlope: number;
  stddevRisingSlope: number;
  meanFallingSlope: number;
  stddevFallingSlope: number;
}

/**
 * Slopes of the straight lines from valley to peak and from peak to valley, the first from the contour's first value.
 *
 * What follows the last turning point is treated as the reference figures have it: the line from there to the contour's
 * end counts as one more rise after a valley and as one more fall after a peak, with the sign it has, in the mean but
 * with no deviation of its own.
 *
 * @param hopS seconds from one value to the next
 */
export function contourDynamics(values: Float32Array, hopS: number): ContourDynamics {
  const points = turningPoints(values);
  const rises: number[] = [];
  const falls: number[] = [];
  let from = 0;
  for (const { index, isPeak } of points) {
    (isPeak ? rises : falls).push(Math.abs(slopeOf(values, from, index, hopS)));
    from = index;
  }
  const tail = slopeOf(values, from, values.length - 1, hopS);
  const endsInPeak = points.at(-1)?.isPeak === true;
  const rise = spreadOf(rises, points.length > 0 && !endsInPeak ? tail : undefined);
  const fall = spreadOf(falls, endsInPeak ? tail : undefined);
  return {
    peaks: rises.length,
    meanRisingSlope: rise.mean,
    stddevRisingSlope: rise.stddev,
    meanFallingSlope: fall.mean,
    stddevFallingSlope: fall.stddev,
  };
}

function slopeOf(values: Float32Array, from: number, to: number, hopS: number): number {
  return to > from ? (values[to]! - values[from]!) / ((to - from) * hopS) : 0;
}

function spreadOf(
  slopes: readonly number[],
  tail: number | undefined,
): { mean: number; stddev: number } {
  const count = slopes.length + (tail === undefined ? 0 : 1);
  if (count === 0) return { mean: 0, stddev: 0 };
  let sum = tail ?? 0;
  for (const slope of slopes) sum += slope;
  const mean = sum / count;
  let squares = 0;
  for (const slope of slopes) squares += (slope - mean) ** 2;
  return { mean, stddev: Math.sqrt(squares / count) };
}
