import { createHarmonicity } from "./harmonicity.ts";
import { createCandidates, createHarmonicSum } from "./harmonic-sum.ts";
import { createHarmonics } from "./harmonics.ts";
import { createPeriods } from "./periods.ts";
import { createPitchPath } from "./pitch-path.ts";

/** One 60 ms frame; the caller may reuse the object and its arrays. */
export interface PitchInput {
  /** The frame is `samples[offset … offset + 960)`. */
  samples: Float32Array;
  offset: number;
  /** Magnitudes of the Gaussian-windowed frame, padded with zeros to 1024 samples: 513 values. */
  magnitude: Float64Array;
  /** F1-F3 in Hz, 0 for none. */
  formantsHz: Float64Array;
}

/** The pitch-bound descriptors of one frame, all 0 where it is unvoiced; the object is used again for the next frame. */
export interface PitchFrame {
  f0Hz: number;
  /** Mean difference of successive periods over the mean period. */
  jitter: number;
  /** Mean level difference of successive periods, dB. */
  shimmerDb: number;
  hnrDb: number;
  h1H2Db: number;
  h1A3Db: number;
  /** Levels of the strongest harmonic near F1-F3 relative to that at F0, dB. */
  a1Db: number;
  a2Db: number;
  a3Db: number;
}

export interface PitchOptions {
  /** Called once for each frame pushed, in order, some frames later. */
  onFrame: (frame: PitchFrame) => void;
}

export interface Pitch {
  push(input: PitchInput): void;
  finish(): void;
}

const SAMPLE_RATE = 16_000;
const FRAME = 960;
const HOP = 160;
const FFT_SIZE = 1024;
const BINS = FFT_SIZE / 2 + 1;
/** Frames that wait for the path to be decided. */
const LAG = 40;
/** Root mean square of the windowed frame under which it is silent, and unvoiced whatever the path through it. */
const AUDIBLE_RMS = 0.001;

/** Fundamental frequency, and what is measured at its harmonics and periods. Allocates nothing per frame. */
export function createPitch({ onFrame }: PitchOptions): Pitch {
  const slots = LAG + 1;
  const spectra = Array.from({ length: slots }, () => new Float64Array(BINS));
  const waves = Array.from({ length: slots }, () => new Float32Array(FRAME));
  const formants = Array.from({ length: slots }, () => new Float64Array(3));
  const audible = new Uint8Array(slots);
  const candidates = createCandidates();
  const harmonicSum = createHarmonicSum(BINS, SAMPLE_RATE);
  const harmonicity = createHarmonicity(FFT_SIZE, SAMPLE_RATE);
  const harmonics = createHarmonics(BINS, SAMPLE_RATE);
  const periods = createPeriods({ sampleRate: SAMPLE_RATE, hop: HOP });
  const path = createPitchPath({ onFrame: describe, lag: LAG });
  const frame: PitchFrame = {
    f0Hz: 0,
    jitter: 0,
    shimmerDb: 0,
    hnrDb: 0,
    h1H2Db: 0,
    h1A3Db: 0,
    a1Db: 0,
    a2Db: 0,
    a3Db: 0,
  };
  let pushed = 0;
  let described = 0;

  function push({ samples, offset, magnitude, formantsHz }: PitchInput): void {
    const slot = pushed % slots;
    spectra[slot]!.set(magnitude);
    waves[slot]!.set(samples.subarray(offset, offset + FRAME));
    formants[slot]!.set(formantsHz);
    pushed += 1;
    harmonicSum.find(magnitude, candidates);
    audible[slot] = windowedRms(magnitude) >= AUDIBLE_RMS ? 1 : 0;
    path.push(candidates);
  }

  function describe(chosenHz: number): void {
    const slot = described % slots;
    described += 1;
    const f0Hz = audible[slot] === 1 ? chosenHz : 0;
    frame.f0Hz = f0Hz;
    frame.hnrDb = f0Hz > 0 ? harmonicity.of(spectra[slot]!, f0Hz) : 0;
    harmonics.measure(spectra[slot]!, f0Hz, formants[slot]!, frame);
    periods.measure(waves[slot]!, f0Hz, frame);
    onFrame(frame);
  }

  return { push, finish: () => path.finish() };
}

/** By Parseval's theorem, from the spectrum of the windowed frame. */
function windowedRms(magnitude: Float64Array): number {
  let sum = 0;
  for (let k = 1; k < BINS - 1; k += 1) sum += magnitude[k]! * magnitude[k]!;
  const ends = magnitude[0]! * magnitude[0]! + magnitude[BINS - 1]! * magnitude[BINS - 1]!;
  return Math.sqrt((2 * sum + ends) / FFT_SIZE / FRAME);
}
