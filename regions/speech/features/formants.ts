import { createFormantRoots, FORMANT_ORDER, FORMANT_RATE } from "./formant-roots.ts";
import { linearPrediction } from "./linear-prediction.ts";

export interface FormantsOptions {
  fftSize: number;
  sampleRate: number;
}

export interface Formants {
  /**
   * Resonances of a frame, from its power spectrum (fftSize / 2 + 1 bins): frequencies and bandwidths in Hz, ascending
   * in frequency, 0 where there are fewer than the lists are long.
   */
  of(power: Float64Array, frequencies: Float64Array, bandwidths: Float64Array): void;
}

/** Coefficient of the first-order pre-emphasis, which takes out the voice's fall towards high frequencies. */
const PRE_EMPHASIS = 0.97;

/**
 * Formants as the resonances of linear prediction of order 11 on the band up to 5.5 kHz, after pre-emphasis (J. Markel and
 * A. Gray, Linear Prediction of Speech, 1976). Both the cut to 11 kHz and the pre-emphasis are done on the power spectrum.
 */
export function createFormants({ fftSize, sampleRate }: FormantsOptions): Formants {
  const bins = Math.round(((FORMANT_RATE / 2) * fftSize) / sampleRate) + 1;
  const cosines = new Float64Array((FORMANT_ORDER + 1) * bins);
  for (let lag = 0; lag <= FORMANT_ORDER; lag += 1) {
    for (let bin = 0; bin < bins; bin += 1) {
      const sides = bin === 0 || bin === bins - 1 ? 1 : 2;
      const hz = (bin * sampleRate) / fftSize;
      const cosine = Math.cos((2 * Math.PI * hz) / sampleRate);
      const emphasis = 1 - 2 * PRE_EMPHASIS * cosine + PRE_EMPHASIS ** 2;
      cosines[lag * bins + bin] =
        sides * emphasis * Math.cos((2 * Math.PI * lag * hz) / FORMANT_RATE);
    }
  }
  const autocorrelation = new Float64Array(FORMANT_ORDER + 1);
  const filter = new Float64Array(FORMANT_ORDER + 1);
  const roots = createFormantRoots();

  function of(power: Float64Array, frequencies: Float64Array, bandwidths: Float64Array): void {
    for (let lag = 0, at = 0; lag <= FORMANT_ORDER; lag += 1) {
      let sum = 0;
      for (let bin = 0; bin < bins; bin += 1, at += 1) sum += cosines[at]! * power[bin]!;
      autocorrelation[lag] = sum;
    }
    frequencies.fill(0);
    bandwidths.fill(0);
    if (linearPrediction(autocorrelation, filter) === 0) return;
    roots.of(filter, frequencies, bandwidths);
  }

  return { of };
}
