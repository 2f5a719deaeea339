/** Exponent of the power law between intensity and loudness, as in Hermansky (1990). */
const COMPRESSION = 0.33;

/** Brings full scale to the loudness that the reference figures give it. */
const SCALE = 3.03235e-4;

export interface Loudness {
  /** Loudness from the natural logarithms of the mel bands' power; bands at `logFloor` or below are silent. */
  of(logBands: Float64Array, logFloor: number): number;
}

/**
 * Loudness as the sum of an auditory spectrum: band power, equal-loudness weight, power law, summed over the bands
 * (H. Hermansky, "Perceptual linear predictive analysis of speech", JASA 87, 1990; Eyben et al. 2016).
 */
export function createLoudness(centresHz: Float64Array): Loudness {
  const logWeights = centresHz.map((hz) => Math.log(SCALE * equalLoudness(hz)));
  return {
    of(logBands, logFloor) {
      let sum = 0;
      for (let b = 0; b < logBands.length; b += 1) {
        const level = logBands[b]!;
        if (level > logFloor) sum += Math.exp(COMPRESSION * (level + logWeights[b]!));
      }
      return sum;
    },
  };
}

/**
 * Hermansky's 40 dB equal-loudness curve. Above 4 kHz the reference figures fall off with the seventh power of frequency
 * (corner at (1.7e31)^(1/7) rad/s, measured from them to five digits), where the paper's text has the sixth.
 */
function equalLoudness(hz: number): number {
  const omega = 2 * Math.PI * hz;
  const square = omega * omega;
  const curve = ((square + 56.8e6) * square * square) / ((square + 6.3e6) ** 2 * (square + 0.38e9));
  return curve / (1 + omega ** 7 / 1.7e31);
}
