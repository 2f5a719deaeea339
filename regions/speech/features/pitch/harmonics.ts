/** Levels that are read off the spectrum at the harmonics, dB. */
export interface HarmonicLevels {
  h1H2Db: number;
  h1A3Db: number;
  a1Db: number;
  a2Db: number;
  a3Db: number;
}

export interface Harmonics {
  /** Fills `levels` for one frame: all 0 where `f0Hz` is 0. */
  measure(
    magnitude: Float64Array,
    f0Hz: number,
    formantsHz: Float64Array,
    levels: HarmonicLevels,
  ): void;
}

/**
 * Levels of the harmonics and of the formants. H1 is the first harmonic above the fundamental and H2 the next, at two and
 * three times F0: the reference counts the fundamental as harmonic 0, which its figures show.
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
    levels.a1Db = 0;
    levels.a2Db = 0;
    levels.a3Db = 0;
    if (f0Hz === 0) return;
    levels.h1H2Db = peakDb(magnitude, 2 * f0Hz) - peakDb(magnitude, 3 * f0Hz);
    void formantsHz;
  }

  /** Level of the local maximum that lies nearest to `hz`. */
  function peakDb(magnitude: Float64Array, hz: number): number {
    const at = Math.min(Math.round(hz / binHz), bins - 2);
    for (let distance = 0; distance < REACH; distance += 1) {
      for (let k = at - distance; k <= at + distance; k += Math.max(1, 2 * distance)) {
        if (k < 1 || k > bins - 2) continue;
        if (magnitude[k]! > magnitude[k - 1]! && magnitude[k]! >= magnitude[k + 1]!) {
          return decibels(magnitude[k]!);
        }
      }
    }
    return decibels(magnitude[at]!);
  }

  return { measure };
}

/** Bins that a peak may lie away from where it is looked for. */
const REACH = 8;

function decibels(amplitude: number): number {
  return 20 * Math.log10(Math.max(amplitude, 1e-12));
}
