import { createContour } from "../features/contour.ts";

/** Samples of one hop: 10 ms at 16 kHz. */
const HOP = 160;
/** Standard deviation of the Gaussian window, in hops: the shape of one of 64 ms effective length. */
const SIGMA = 1.42;
const REACH = 4;
/** What digital silence is given, dB. */
const FLOOR_DB = -120;

const weights = Float64Array.from({ length: 2 * REACH + 1 }, (_, i) =>
  Math.exp(-0.5 * ((i - REACH) / SIGMA) ** 2),
);

export interface IntensityMeter {
  /** Takes the next samples, 16 kHz mono. */
  push(block: Float32Array): void;
  /** Level of each 10 ms, dB of full scale 1.0; frame i is centred on (i + 0.5) · 10 ms. */
  finish(): Float32Array;
}

/**
 * Intensity as Praat defines it for a lowest pitch of 50 Hz: mean square under a bell of 64 ms less the mean under the
 * same bell, so that an offset counts for nothing. A rest of less than 10 ms at the end is left out.
 */
export function createIntensityMeter(): IntensityMeter {
  const sums = createContour();
  const squares = createContour();
  let sum = 0;
  let square = 0;
  let held = 0;

  return {
    push(block) {
      for (let i = 0; i < block.length; i += 1) {
        const sample = block[i]!;
        sum += sample;
        square += sample * sample;
        held += 1;
        if (held === HOP) {
          sums.push(sum / HOP);
          squares.push(square / HOP);
          sum = 0;
          square = 0;
          held = 0;
        }
      }
    },
    finish: () => smooth(sums.values(), squares.values()),
  };
}

function smooth(means: Float32Array, squares: Float32Array): Float32Array {
  const level = new Float32Array(means.length);
  for (let i = 0; i < means.length; i += 1) {
    let total = 0;
    let mean = 0;
    let square = 0;
    const last = Math.min(means.length - 1, i + REACH);
    for (let at = Math.max(0, i - REACH); at <= last; at += 1) {
      const weight = weights[at - i + REACH]!;
      total += weight;
      mean += weight * means[at]!;
      square += weight * squares[at]!;
    }
    const variance = square / total - (mean / total) ** 2;
    level[i] = variance > 1e-12 ? 10 * Math.log10(variance) : FLOOR_DB;
  }
  return level;
}
