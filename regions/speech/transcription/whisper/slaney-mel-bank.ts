/** Bins of a frame's spectrum: 0 to 8 kHz in steps of 40 Hz. */
export const BINS = 201;
const BIN_HZ = 40;
const HIGHEST_HZ = 8000;

/** Triangular bands of unequal widths and equal area, each with the bins that it covers. */
export interface SlaneyMelBank {
  readonly bands: number;
  /** Sums a power spectrum of 201 bins into `out`, one value a band. */
  apply(power: Float64Array, out: Float64Array): void;
}

/**
 * The mel bank that Whisper was trained with (Radford et al., 2022, as in librosa): the scale of Slaney's Auditory Toolbox,
 * straight below 1 kHz and logarithmic above, and triangles of area 1 over Hz. Not the bank of the acoustic features,
 * which is HTK's.
 */
export function createSlaneyMelBank(bands: number): SlaneyMelBank {
  const step = toMel(HIGHEST_HZ) / (bands + 1);
  const corners = Float64Array.from({ length: bands + 2 }, (_, i) => toHz(step * i));
  const first = new Int32Array(bands);
  const weights: Float64Array[] = [];
  for (let band = 0; band < bands; band += 1) {
    const low = corners[band]!;
    const centre = corners[band + 1]!;
    const high = corners[band + 2]!;
    const from = Math.max(0, Math.ceil(low / BIN_HZ));
    const to = Math.min(BINS - 1, Math.floor(high / BIN_HZ));
    first[band] = from;
    weights.push(
      Float64Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => {
        const hz = (from + i) * BIN_HZ;
        const height = Math.min((hz - low) / (centre - low), (high - hz) / (high - centre));
        return (Math.max(0, height) * 2) / (high - low);
      }),
    );
  }
  return {
    bands,
    apply(power, out) {
      for (let band = 0; band < bands; band += 1) {
        const own = weights[band]!;
        const from = first[band]!;
        let sum = 0;
        for (let i = 0; i < own.length; i += 1) sum += own[i]! * power[from + i]!;
        out[band] = sum;
      }
    },
  };
}

const KNEE_HZ = 1000;
const HZ_A_MEL = 200 / 3;
const KNEE = KNEE_HZ / HZ_A_MEL;
const LOG_STEP = Math.log(6.4) / 27;

function toMel(hz: number): number {
  return hz < KNEE_HZ ? hz / HZ_A_MEL : KNEE + Math.log(hz / KNEE_HZ) / LOG_STEP;
}

function toHz(mel: number): number {
  return mel < KNEE ? mel * HZ_A_MEL : KNEE_HZ * Math.exp((mel - KNEE) * LOG_STEP);
}
