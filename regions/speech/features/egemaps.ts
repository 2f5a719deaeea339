import { createFrames } from "./frames.ts";
import { createPitchContours, PITCH_FRAME } from "./pitch-contours.ts";
import type { FormantMedians } from "./pitch-contours.ts";
import { createSpectralContours, SPECTRAL_FRAME } from "./spectral-contours.ts";
import { summarize } from "./summarize.ts";

/** The only sample rate that is taken, Hz. */
export const EGEMAPS_SAMPLE_RATE = 16_000;

/** Seconds from one frame to the next. */
const HOP_S = 0.01;

/** Samples after which the longer frames catch up: they end 40 ms later, which with these makes 24 frames of `SPECTRA_KEPT`. */
const PIECE = 3200;

export interface EgemapsTracks {
  hop_s: number;
  /** Fundamental frequency of each 60 ms frame, Hz; 0 for an unvoiced one. */
  f0_hz: Float32Array;
  /** Loudness of each 20 ms frame (sum of an auditory spectrum). */
  loudness: Float32Array;
}

/** A resonance of the vocal tract, Hz. */
export interface Formant {
  frequencyHz: number;
  bandwidthHz: number;
}

export interface EgemapsResult {
  /** The 88 functionals by their openSMILE names, in openSMILE's order. */
  features: Record<string, number>;
  /** F1-F3 as resonances: medians over the voiced frames that have them. Fewer, or none, where no frame has. */
  formants: Formant[];
  tracks: EgemapsTracks;
}

export interface Egemaps {
  /** Takes the next samples: mono, 16 kHz, finite, as many as there are. */
  push(block: Float32Array): void;
  /** To be called once, after the last block. */
  finish(): EgemapsResult;
}

/**
 * Computes the extended Geneva Minimalistic Acoustic Parameter Set, version 02 (F. Eyben et al., IEEE Transactions on
 * Affective Computing 7(2), 2016), while the recording streams through. It keeps about 100 bytes a frame, 36 MB an hour.
 */
export function createEgemaps(): Egemaps {
  const spectral = createSpectralContours(EGEMAPS_SAMPLE_RATE);
  const pitch = createPitchContours();
  const hop = EGEMAPS_SAMPLE_RATE * HOP_S;
  const spectralFrames = createFrames({ size: SPECTRAL_FRAME, hop, onFrame: spectral.push });
  const pitchFrames = createFrames({
    size: PITCH_FRAME,
    hop,
    onFrame(samples, offset, index) {
      pitch.push(samples, offset, spectral.spectrum(index));
    },
  });

  return {
    push(block) {
      // In this order and in pieces: a pitch frame needs the spectrum of the shorter frame that starts with it, and few are kept.
      for (let at = 0; at < block.length; at += PIECE) {
        const piece = block.subarray(at, at + PIECE);
        spectralFrames.push(piece);
        pitchFrames.push(piece);
      }
    },
    finish() {
      pitch.finish();
      return {
        features: summarize(spectral, pitch, HOP_S),
        formants: pitch.resonances.map(medianFormant).filter((formant) => formant !== undefined),
        tracks: {
          hop_s: HOP_S,
          f0_hz: pitch.f0Hz.values(),
          loudness: spectral.loudness.values(),
        },
      };
    },
  };
}

function medianFormant({ frequencyHz, bandwidthHz }: FormantMedians): Formant | undefined {
  const hz = frequencyHz.value();
  return hz === 0 ? undefined : { frequencyHz: hz, bandwidthHz: bandwidthHz.value() };
}
