import { keepLowest } from "./keep-lowest.ts";
import { linearPrediction } from "./linear-prediction.ts";
import { createRootFinder } from "./polynomial-roots.ts";

export interface FormantsOptions {
  fftSize: number;
  sampleRate: number;
}

export interface Formants {
  /**
   * Resonances of a frame, from its power spectrum (fftSize / 2 + 1 bins): frequencies and bandwidths in Hz, ascending
   * in frequency, 0 where there are fewer than `count`.
   */
  of(power: Float64Array, frequencies: Float64Array, bandwidths: Float64Array): void;
}

const ORDER = 11;
/** Rate that the spectrum is cut to: the range of the first five formants. */
const RATE = 11_000;
const LOWEST_HZ = 50;
const HIGHEST_HZ = RATE / 2 - 50;

/** Coefficient of the first-order pre-emphasis, which takes out the voice's fall towards high frequencies. */
const PRE_EMPHASIS = 0.97;

/**
 * Formants as the resonances of linear prediction of order 11 on the band up to 5.5 kHz, after pre-emphasis (J. Markel and
 * A. Gray, Linear Prediction of Speech, 1976). Both the cut to 11 kHz and the pre-emphasis are done on the power spectrum.
 */
export function createFormants({ fftSize, sampleRate }: FormantsOptions): Formants {
  const bins = Math.round(((RATE / 2) * fftSize) / sampleRate) + 1;
  const cosines = new Float64Array((ORDER + 1) * bins);
  for (let lag = 0; lag <= ORDER; lag += 1) {
    for (let bin = 0; bin < bins; bin += 1) {
      const sides = bin === 0 || bin === bins - 1 ? 1 : 2;
      const hz = (bin * sampleRate) / fftSize;
      const cosine = Math.cos((2 * Math.PI * hz) / sampleRate);
      const emphasis = 1 - 2 * PRE_EMPHASIS * cosine + PRE_EMPHASIS ** 2;
      cosines[lag * bins + bin] = sides * emphasis * Math.cos((2 * Math.PI * lag * hz) / RATE);
    }
  }
  const autocorrelation = new Float64Array(ORDER + 1);
  const filter = new Float64Array(ORDER + 1);
  const roots = createRootFinder(ORDER);
  const re = new Float64Array(ORDER);
  const im = new Float64Array(ORDER);

  function of(power: Float64Array, frequencies: Float64Array, bandwidths: Float64Array): void {
    frequencies.fill(0);
    bandwidths.fill(0);
    for (let lag = 0, at = 0; lag <= ORDER; lag += 1) {
      let sum = 0;
      for (let bin = 0; bin < bins; bin += 1, at += 1) sum += cosines[at]! * power[bin]!;
      autocorrelation[lag] = sum;
    }
    if (linearPrediction(autocorrelation, filter) === 0) return;
    const count = roots.find(filter, re, im);
    for (let i = 0, kept = 0; i < count; i += 1) {
      const hz = (Math.atan2(im[i]!, re[i]!) * RATE) / (2 * Math.PI);
      if (hz < LOWEST_HZ || hz > HIGHEST_HZ) continue;
      const width = Math.abs(Math.log(Math.hypot(re[i]!, im[i]!))) * (RATE / Math.PI);
      kept = keepLowest(frequencies, bandwidths, kept, hz, width);
    }
  }

  return { of };
}
