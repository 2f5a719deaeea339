export interface MfccOptions {
  bands: number;
  coefficients: number;
  lifter: number;
}

export interface Mfcc {
  /** Coefficients 1 … n (without the zeroth) from the natural logarithms of the mel bands' power, into `out`. */
  of(logBands: Float64Array, out: Float64Array): void;
}

/** Mel-frequency cepstral coefficients scaled and liftered as in the HTK book (5.6): DCT-II times sqrt(2 / bands). */
export function createMfcc({ bands, coefficients, lifter }: MfccOptions): Mfcc {
  const table = new Float64Array(coefficients * bands);
  for (let c = 0; c < coefficients; c += 1) {
    const lift = 1 + (lifter / 2) * Math.sin((Math.PI * (c + 1)) / lifter);
    for (let b = 0; b < bands; b += 1) {
      table[c * bands + b] =
        lift * Math.sqrt(2 / bands) * Math.cos((Math.PI * (c + 1) * (b + 0.5)) / bands);
    }
  }
  return {
    of(logBands, out) {
      for (let c = 0, at = 0; c < coefficients; c += 1) {
        let sum = 0;
        for (let b = 0; b < bands; b += 1, at += 1) sum += table[at]! * logBands[b]!;
        out[c] = sum;
      }
    },
  };
}
