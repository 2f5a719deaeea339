export interface MelBankOptions {
  bands: number;
  lowHz: number;
  highHz: number;
  fftSize: number;
  sampleRate: number;
}

export interface MelBank {
  readonly bands: number;
  /** Centre of each band, Hz. */
  readonly centresHz: Float64Array;
  /** Sums a power spectrum (fftSize / 2 + 1 bins) into `out`, one value a band. */
  apply(power: Float64Array, out: Float64Array): void;
}

/**
 * Triangular bands equally spaced on the mel scale, each triangle straight in mel and one high at its centre, as in the HTK
 * book (5.4): every bin falls into the falling side of one band and the rising side of the next. As there, the first bin
 * is the one nearest to `lowHz` plus one, so DC and a bin just at the edge stay out.
 */
export function createMelBank(options: MelBankOptions): MelBank {
  const { bands, lowHz, highHz, fftSize, sampleRate } = options;
  const binHz = sampleRate / fftSize;
  const low = toMel(lowHz);
  const step = (toMel(highHz) - low) / (bands + 1);
  const centresHz = Float64Array.from({ length: bands }, (_, b) => toHz(low + step * (b + 1)));
  const firstBin = Math.round(lowHz / binHz) + 1;
  const lastBin = Math.min(Math.floor(highHz / binHz + 0.5), fftSize / 2);
  // Of the bins' two weights one is kept, the rising one; the falling one is its complement.
  const rising = new Float64Array(fftSize / 2 + 1);
  const band = new Int16Array(fftSize / 2 + 1);
  for (let bin = firstBin; bin <= lastBin; bin += 1) {
    const place = (toMel(bin * binHz) - low) / step;
    band[bin] = Math.min(bands, Math.floor(place));
    rising[bin] = place - band[bin]!;
  }

  function apply(power: Float64Array, out: Float64Array): void {
    out.fill(0);
    for (let bin = firstBin; bin <= lastBin; bin += 1) {
      const to = band[bin]!;
      const up = rising[bin]! * power[bin]!;
      if (to < bands) out[to] = out[to]! + up;
      if (to > 0) out[to - 1] = out[to - 1]! + power[bin]! - up;
    }
  }

  return { bands, centresHz, apply };
}

function toMel(hz: number): number {
  return 1127 * Math.log(1 + hz / 700);
}

function toHz(mel: number): number {
  return 700 * (Math.exp(mel / 1127) - 1);
}
