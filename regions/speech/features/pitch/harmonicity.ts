import { createRealFft } from "../real-fft.ts";

export interface Harmonicity {
  /**
   * @param magnitude spectrum of the windowed frame
   * @returns the harmonics-to-noise ratio in dB, between -`limitDb` and `limitDb`
   */
  of(magnitude: Float64Array, f0Hz: number): number;
}

/**
 * Harmonics-to-noise ratio from the autocorrelation (Boersma, "Accurate short-term analysis of the fundamental frequency
 * and the harmonics-to-noise ratio", 1993): r / (1 - r) at its highest value within `range` of the period. The
 * autocorrelation is that of the windowed frame, not divided by the window's own, as the reference has it.
 */
export function createHarmonicity(
  fftSize: number,
  sampleRate: number,
  { range = 0.1, limitDb = 100 } = {},
): Harmonicity {
  const fft = createRealFft(fftSize);
  const power = new Float64Array(fftSize);
  const correlation = new Float64Array(fftSize / 2 + 1);
  const imaginary = new Float64Array(fftSize / 2 + 1);

  function of(magnitude: Float64Array, f0Hz: number): number {
    const half = fftSize / 2;
    for (let k = 0; k <= half; k += 1) power[k] = magnitude[k]! * magnitude[k]!;
    for (let k = 1; k < half; k += 1) power[fftSize - k] = power[k]!;
    // A real and even sequence has a real transform: this one is the autocorrelation.
    fft.forward(power, 0, undefined, correlation, imaginary);
    const period = sampleRate / f0Hz;
    const first = Math.max(1, Math.floor(period * (1 - range)));
    const last = Math.min(half, Math.floor(period * (1 + range)) + 1);
    let highest = -Infinity;
    for (let lag = first; lag <= last; lag += 1) highest = Math.max(highest, correlation[lag]!);
    const whole = correlation[0]!;
    if (!(highest > 0)) return -limitDb;
    if (highest >= whole) return limitDb;
    return Math.max(-limitDb, Math.min(limitDb, 10 * Math.log10(highest / (whole - highest))));
  }

  return { of };
}
