/** A local extreme that stands out. */
export interface TurningPoint {
  index: number;
  isPeak: boolean;
}

/** Share of the contour's range by which neighbouring turning points differ. */
const PROMINENCE = 0.1;

/** A later peak displaces one that no valley parts it from where it is higher by this share … */
const DISPLACEMENT = 0.05;

/**
 * Peaks and valleys, alternating, each further than a tenth of the contour's range from the one before, the first from the
 * contour's first value: smaller bumps are passed over. Of valleys that no peak parts the lowest counts. Of peaks that no
 * valley parts the first counts, unless a higher one is higher by a twentieth or has risen by more than the tenth of the
 * range since. The last frame but one is not looked at any more. (These rules were found from the reference figures.)
 */
export function turningPoints(values: Float32Array): TurningPoint[] {
  const points: TurningPoint[] = [];
  const prominence = PROMINENCE * rangeOf(values);
  let lowest = Infinity;
  for (let index = 1; index < values.length - 2; index += 1) {
    const value = values[index]!;
    lowest = Math.min(lowest, value);
    const isPeak = value > values[index - 1]! && value >= values[index + 1]!;
    const isValley = value < values[index - 1]! && value <= values[index + 1]!;
    if (!isPeak && !isValley) continue;
    const last = points.at(-1);
    const before = values[last?.index ?? 0]!;
    const rise = isPeak ? value - before : before - value;
    if (last?.isPeak === isPeak) {
      const displaces =
        rise > 0 && (!isPeak || value > before * (1 + DISPLACEMENT) || value - lowest > prominence);
      if (!displaces) continue;
      last.index = index;
    } else {
      if (rise <= prominence) continue;
      points.push({ index, isPeak });
    }
    lowest = value;
  }
  return points;
}

function rangeOf(values: Float32Array): number {
  let min = Infinity;
  let max = -Infinity;
  for (const value of values) {
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return max - min;
}
