import { createRootFinder } from "./polynomial-roots.ts";

/** Order of the prediction that formants are taken from: a pair of roots for each of five, and one for the slope. */
export const FORMANT_ORDER = 11;

/** Rate that the sound is cut to before, Hz: the range of the first five formants. */
export const FORMANT_RATE = 11_000;

const LOWEST_HZ = 50;
const HIGHEST_HZ = FORMANT_RATE / 2 - 50;

export interface FormantRoots {
  /**
   * The lowest pairs of roots of `filter` (1, a[1] … a[FORMANT_ORDER]): frequencies and bandwidths in Hz, ascending in
   * frequency, as many as the lists are long. Where there are fewer the lists are left as they were.
   */
  of(filter: Float64Array, frequencies: Float64Array, bandwidths: Float64Array): void;
}

export function createFormantRoots(): FormantRoots {
  const roots = createRootFinder(FORMANT_ORDER);
  const re = new Float64Array(FORMANT_ORDER);
  const im = new Float64Array(FORMANT_ORDER);

  function of(filter: Float64Array, frequencies: Float64Array, bandwidths: Float64Array): void {
    const count = roots.find(filter, re, im);
    for (let i = 0, kept = 0; i < count; i += 1) {
      const hz = (Math.atan2(im[i]!, re[i]!) * FORMANT_RATE) / (2 * Math.PI);
      if (hz < LOWEST_HZ || hz > HIGHEST_HZ) continue;
      const width = Math.abs(Math.log(Math.hypot(re[i]!, im[i]!))) * (FORMANT_RATE / Math.PI);
      kept = keepLowest(frequencies, bandwidths, kept, hz, width);
    }
  }

  return { of };
}

/** Adds a formant to lists that hold the `kept` lowest so far; returns how many they hold now. */
function keepLowest(
  frequencies: Float64Array,
  bandwidths: Float64Array,
  kept: number,
  hz: number,
  width: number,
): number {
  let at = Math.min(kept, frequencies.length);
  if (at === frequencies.length && hz >= frequencies[at - 1]!) return at;
  if (at === frequencies.length) at -= 1;
  while (at > 0 && frequencies[at - 1]! > hz) {
    frequencies[at] = frequencies[at - 1]!;
    bandwidths[at] = bandwidths[at - 1]!;
    at -= 1;
  }
  frequencies[at] = hz;
  bandwidths[at] = width;
  return Math.min(kept + 1, frequencies.length);
}
