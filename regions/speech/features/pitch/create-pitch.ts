import { createFormants } from "../formants.ts";
import type { Spectrum } from "../spectral-contours.ts";
import { createHarmonicity } from "./harmonicity.ts";
import { createCandidates, createHarmonicSum } from "./harmonic-sum.ts";
import { createHarmonics } from "./harmonics.ts";
import { createPeriods } from "./periods.ts";
import { createPitchPath } from "./pitch-path.ts";
import { createReferenceFormants } from "./reference-formants.ts";

/** One 60 ms frame; the caller may reuse the object and its arrays. */
export interface PitchInput {
  /** The frame is `samples[offset … offset + 960)`. */
  samples: Float32Array;
  offset: number;
  /** Magnitudes of the Gaussian-windowed frame, padded with zeros to 1024 samples: 513 values. */
  magnitude: Float64Array;
  /** Spectrum of the 20 ms frame that starts with it: Hamming window, 512 samples. */
  spectrum: Spectrum;
}

/**
 * The pitch-bound descriptors of one frame, 0 where it is unvoiced (the levels of formants: `NO_LEVEL`). The object and its
 * arrays are used again for the next frame.
 */
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
  /** Frequencies and bandwidths of F1-F3 as the reference has them. */
  formantsHz: Float64Array;
  bandwidthsHz: Float64Array;
  /** And as resonances. */
  resonancesHz: Float64Array;
  resonanceWidthsHz: Float64Array;
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
/** Of the 20 ms frames. */
const SHORT_FFT_SIZE = 512;
const SHORT_BINS = SHORT_FFT_SIZE / 2 + 1;
/** Frames that wait for the path to be decided. */
const LAG = 40;
/** Root mean square of the windowed frame under which it is silent, and unvoiced whatever the path through it. */
const AUDIBLE_RMS = 0.001;

/** Fundamental frequency, and what is measured at its harmonics and periods. Allocates nothing per frame. */
export function createPitch({ onFrame }: PitchOptions): Pitch {
  const slots = LAG + 1;
  const spectra = Array.from({ length: slots }, () => new Float64Array(BINS));
  const waves = Array.from({ length: slots }, () => new Float32Array(FRAME));
  const shortRe = Array.from({ length: slots }, () => new Float64Array(SHORT_BINS));
  const shortIm = Array.from({ length: slots }, () => new Float64Array(SHORT_BINS));
  const audible = new Uint8Array(slots);
  const candidates = createCandidates();
  const harmonicSum = createHarmonicSum(BINS, SAMPLE_RATE);
  const harmonicity = createHarmonicity(FFT_SIZE, SAMPLE_RATE);
  const referenceFormants = createReferenceFormants();
  const resonances = createFormants({ fftSize: SHORT_FFT_SIZE, sampleRate: SAMPLE_RATE });
  const power = new Float64Array(SHORT_BINS);
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
    formantsHz: new Float64Array(3),
    bandwidthsHz: new Float64Array(3),
    resonancesHz: new Float64Array(3),
    resonanceWidthsHz: new Float64Array(3),
  };
  let pushed = 0;
  let described = 0;

  function push({ samples, offset, magnitude, spectrum }: PitchInput): void {
    const slot = pushed % slots;
    spectra[slot]!.set(magnitude);
    waves[slot]!.set(samples.subarray(offset, offset + FRAME));
    shortRe[slot]!.set(spectrum.re);
    shortIm[slot]!.set(spectrum.im);
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
    measureFormants(slot, f0Hz > 0);
    harmonics.measure(spectra[slot]!, f0Hz, frame.formantsHz, frame);
    periods.measure(waves[slot]!, f0Hz, frame);
    onFrame(frame);
  }

  function measureFormants(slot: number, isVoiced: boolean): void {
    const { formantsHz, bandwidthsHz, resonancesHz, resonanceWidthsHz } = frame;
    if (!isVoiced) {
      formantsHz.fill(0);
      bandwidthsHz.fill(0);
      resonancesHz.fill(0);
      resonanceWidthsHz.fill(0);
      return;
    }
    const re = shortRe[slot]!;
    const im = shortIm[slot]!;
    for (let bin = 0; bin < SHORT_BINS; bin += 1) power[bin] = re[bin]! ** 2 + im[bin]! ** 2;
    referenceFormants.of(re, im, formantsHz, bandwidthsHz);
    resonances.of(power, resonancesHz, resonanceWidthsHz);
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
