import { createFormantRoots, FORMANT_ORDER } from "../formant-roots.ts";
import { linearPrediction } from "../linear-prediction.ts";

export interface ReferenceFormants {
  /**
   * What the reference calls the frequencies and bandwidths of F1-F3, Hz, ascending, 0 where there are fewer, of one 20 ms
   * frame: `re` and `im` are the first `SPECTRUM_BINS` bins or more of its spectrum (Hamming window, 512 samples at 16 kHz).
   */
  of(re: Float64Array, im: Float64Array, frequencies: Float64Array, bandwidths: Float64Array): void;
}

/** Samples at 11 kHz that the 512 samples of the transform at 16 kHz stand for. */
const PERIOD = 352;
/** Bins and samples that enter: both lie in sharp optima of agreement, one more or less is worse. */
const BINS = 110;
const SAMPLES = 154;
/** Samples up to a quarter of the period: the rest mirror them. */
const ROWS = PERIOD / 4 + 1;

/**
 * The formant figures of eGeMAPSv02 as openSMILE gives them. They are no resonances: their bandwidths are far above a
 * kilohertz. What reproduces the reference figures is linear prediction of order 11 on the first 14 ms of the frame, cut to
 * 3.4 kHz and resampled to 11 kHz, and then the roots of the polynomial whose prediction coefficients have the opposite
 * sign. (Found from the figures alone; `createFormants` has the resonances.)
 */
export function createReferenceFormants(): ReferenceFormants {
  const cosines = new Float64Array(ROWS * BINS);
  const sines = new Float64Array(ROWS * BINS);
  for (let n = 0; n < ROWS; n += 1) {
    for (let k = 0; k < BINS; k += 1) {
      const angle = (2 * Math.PI * ((k * n) % PERIOD)) / PERIOD;
      cosines[n * BINS + k] = Math.cos(angle);
      sines[n * BINS + k] = Math.sin(angle);
    }
  }
  const wave = new Float64Array(SAMPLES);
  const autocorrelation = new Float64Array(FORMANT_ORDER + 1);
  const filter = new Float64Array(FORMANT_ORDER + 1);
  const roots = createFormantRoots();

  function of(
    re: Float64Array,
    im: Float64Array,
    frequencies: Float64Array,
    bandwidths: Float64Array,
  ): void {
    for (let n = 0, at = 0; n < ROWS; n += 1) {
      let evenCosine = 0;
      let oddCosine = 0;
      let evenSine = 0;
      let oddSine = 0;
      for (let k = 0; k < BINS; k += 2, at += 2) {
        evenCosine += re[k]! * cosines[at]!;
        evenSine += im[k]! * sines[at]!;
        oddCosine += re[k + 1]! * cosines[at + 1]!;
        oddSine += im[k + 1]! * sines[at + 1]!;
      }
      wave[n] = evenCosine + oddCosine - evenSine - oddSine;
      // Half a period less n: odd bins change the sign of their cosine there, even ones that of their sine.
      const mirror = PERIOD / 2 - n;
      if (mirror < SAMPLES) wave[mirror] = evenCosine - oddCosine + evenSine - oddSine;
    }
    for (let lag = 0; lag <= FORMANT_ORDER; lag += 1) {
      let sum = 0;
      for (let n = lag; n < SAMPLES; n += 1) sum += wave[n]! * wave[n - lag]!;
      autocorrelation[lag] = sum;
    }
    frequencies.fill(0);
    bandwidths.fill(0);
    if (linearPrediction(autocorrelation, filter) === 0) return;
    for (let i = 1; i <= FORMANT_ORDER; i += 1) filter[i] = -filter[i]!;
    roots.of(filter, frequencies, bandwidths);
  }

  return { of };
}
