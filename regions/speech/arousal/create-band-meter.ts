import { createContour } from "../features/contour.ts";
import { createBandpass } from "./bandpass.ts";

/** Samples of one hop: 10 ms at 16 kHz. */
const HOP = 160;
const SAMPLE_RATE = 16_000;

export interface BandMeter {
  /** Takes the next samples, 16 kHz mono. */
  push(block: Float32Array): void;
  /** HF500 of each 10 ms, dB: energy from 500 Hz to 5 kHz over energy from 80 to 500 Hz. */
  finish(): Float32Array;
}

/** Streaming meter of HF500, which rises as the voice is pressed or raised. A rest of less than 10 ms is left out. */
export function createBandMeter(): BandMeter {
  const low = createBandpass(80, 500, SAMPLE_RATE);
  const high = createBandpass(500, 5000, SAMPLE_RATE);
  const ratio = createContour();
  let lowEnergy = 0;
  let highEnergy = 0;
  let held = 0;
  return {
    push(block) {
      for (let i = 0; i < block.length; i += 1) {
        const sample = block[i]!;
        const below = low(sample);
        const above = high(sample);
        lowEnergy += below * below;
        highEnergy += above * above;
        held += 1;
        if (held === HOP) {
          ratio.push(10 * Math.log10((highEnergy + 1e-12) / (lowEnergy + 1e-12)));
          lowEnergy = 0;
          highEnergy = 0;
          held = 0;
        }
      }
    },
    finish: () => ratio.values(),
  };
}
