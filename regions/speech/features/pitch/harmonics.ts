/** Levels that are read off the spectrum at the harmonics, dB. */
export interface HarmonicLevels {
  h1H2Db: number;
  h1A3Db: number;
  /** Strongest harmonic near F1-F3 relative to the one at F0; `NO_LEVEL` where there is no F0 or no formant. */
  a1Db: number;
  a2Db: number;
  a3Db: number;
}

export interface Harmonics {
  /** Fills `levels` for one frame, whose F0 is `f0Hz` (0 for unvoiced) and whose F1-F3 are `formantsHz` (0 for none). */
  measure(
    magnitude: Float64Array,
    f0Hz: number,
    formantsHz: Float64Array,
    levels: HarmonicLevels,
  ): void;
}

/**
 * What stands for the level of a formant in a frame that has none, an unvoiced one above all. Formant amplitudes are
 * averaged over all frames, these included: the reference figures of a recording grow with its unvoiced share at this rate.
 */
export const NO_LEVEL = -201;

/** A formant's level is that of the strongest harmonic within this share of its frequency (found from the figures). */
const NEAR = 0.2;

/**
 * Levels of the harmonics and of the formants. H1 is the first harmonic above the fundamental and H2 the next, at two and
 * three times F0: the reference counts the fundamental as harmonic 0, which its figures show. A1-A3 are relative to the
 * fundamental, H1-A3 is to H1.
 */
export function createHarmonics(bins: number, sampleRate: number): Harmonics {
  const binHz = sampleRate / 2 / (bins - 1);

  function measure(
    magnitude: Float64Array,
    f0Hz: number,
    formantsHz: Float64Array,
    levels: HarmonicLevels,
  ): void {
    levels.h1H2Db = 0;
    levels.h1A3Db = 0;
    levels.a1Db = NO_LEVEL;
    levels.a2Db = NO_LEVEL;
    levels.a3Db = NO_LEVEL;
    if (f0Hz === 0) return;
    const fundamental = decibels(peakNear(magnitude, f0Hz));
    const h1 = decibels(peakNear(magnitude, 2 * f0Hz));
    levels.h1H2Db = h1 - decibels(peakNear(magnitude, 3 * f0Hz));
    const f1 = formantsHz[0]!;
    const f2 = formantsHz[1]!;
    const f3 = formantsHz[2]!;
    if (f1 > 0) levels.a1Db = decibels(strongestNear(magnitude, f0Hz, f1)) - fundamental;
    if (f2 > 0) levels.a2Db = decibels(strongestNear(magnitude, f0Hz, f2)) - fundamental;
    if (f3 > 0) {
      const a3 = decibels(strongestNear(magnitude, f0Hz, f3));
      levels.a3Db = a3 - fundamental;
      levels.h1A3Db = h1 - a3;
    }
  }

  /** Magnitude of the strongest harmonic near `hz`, or of the nearest one where none is near. */
  function strongestNear(magnitude: Float64Array, f0Hz: number, hz: number): number {
    let first = Math.max(1, Math.ceil((hz * (1 - NEAR)) / f0Hz));
    let last = Math.floor((hz * (1 + NEAR)) / f0Hz);
    if (last < first) {
      first = Math.max(1, Math.round(hz / f0Hz));
      last = first;
    }
    let strongest = 0;
    for (let harmonic = first; harmonic <= last; harmonic += 1) {
      strongest = Math.max(strongest, peakNear(magnitude, harmonic * f0Hz));
    }
    return strongest;
  }

  /** The local maximum that lies nearest to `hz`. */
  function peakNear(magnitude: Float64Array, hz: number): number {
    const at = Math.min(Math.round(hz / binHz), bins - 2);
    for (let distance = 0; distance < REACH; distance += 1) {
      for (let k = at - distance; k <= at + distance; k += Math.max(1, 2 * distance)) {
        if (k < 1 || k > bins - 2) continue;
        if (magnitude[k]! > magnitude[k - 1]! && magnitude[k]! >= magnitude[k + 1]!) {
          return magnitude[k]!;
        }
      }
    }
    return magnitude[at]!;
  }

  return { measure };
}

/** Bins that a peak may lie away from where it is looked for. */
const REACH = 8;

function decibels(amplitude: number): number {
  return 20 * Math.log10(Math.max(amplitude, 1e-12));
}
