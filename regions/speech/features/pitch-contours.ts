import { createContour } from "./contour.ts";
import type { Contour } from "./contour.ts";
import { createMedian } from "./functionals/create-median.ts";
import type { Median } from "./functionals/create-median.ts";
import { createPitch } from "./pitch/create-pitch.ts";
import type { PitchInput } from "./pitch/create-pitch.ts";
import type { Spectrum } from "./spectral-contours.ts";
import { createRealFft } from "./real-fft.ts";
import { gaussianWindow } from "./windows.ts";

/** Samples of a pitch frame: 60 ms at 16 kHz. */
export const PITCH_FRAME = 960;

const FFT_SIZE = 1024;

/** One formant over the frames that have it, Hz; 0 while none has. */
export interface FormantMedians {
  readonly frequencyHz: Median;
  readonly bandwidthHz: Median;
}

/** The descriptors of the 60 ms frames, one contour each; 0 in unvoiced frames where nothing else is said. */
export interface PitchContours {
  /**
   * Takes the next frame, `samples[offset … offset + PITCH_FRAME)`, and the spectrum of the 20 ms frame that starts with
   * it. The contours follow some frames later.
   */
  push(samples: Float32Array, offset: number, spectrum: Spectrum): void;
  /** Brings the contours up to the last frame. */
  finish(): void;
  readonly f0Hz: Contour;
  readonly jitter: Contour;
  readonly shimmerDb: Contour;
  readonly hnrDb: Contour;
  readonly h1H2Db: Contour;
  readonly h1A3Db: Contour;
  /** F1-F3 as the 88 features have them: see `createReferenceFormants`. */
  readonly formantHz: readonly [Contour, Contour, Contour];
  readonly bandwidthHz: readonly [Contour, Contour, Contour];
  /** Amplitudes of F1-F3 relative to F0, dB; `NO_LEVEL` in unvoiced frames. */
  readonly formantDb: readonly [Contour, Contour, Contour];
  /** F1-F3 as resonances of the vocal tract. */
  readonly resonances: readonly [FormantMedians, FormantMedians, FormantMedians];
}

export function createPitchContours(): PitchContours {
  const fft = createRealFft(FFT_SIZE);
  const window = gaussianWindow(PITCH_FRAME, 0.4);
  const re = new Float64Array(FFT_SIZE / 2 + 1);
  const im = new Float64Array(FFT_SIZE / 2 + 1);
  const magnitude = new Float64Array(FFT_SIZE / 2 + 1);
  const contours = {
    f0Hz: createContour(),
    jitter: createContour(),
    shimmerDb: createContour(),
    hnrDb: createContour(),
    h1H2Db: createContour(),
    h1A3Db: createContour(),
    formantHz: [createContour(), createContour(), createContour()],
    bandwidthHz: [createContour(), createContour(), createContour()],
    formantDb: [createContour(), createContour(), createContour()],
    resonances: [createFormantMedians(), createFormantMedians(), createFormantMedians()],
  } as const;
  const pitch = createPitch({
    onFrame(frame) {
      contours.f0Hz.push(frame.f0Hz);
      contours.jitter.push(frame.jitter);
      contours.shimmerDb.push(frame.shimmerDb);
      contours.hnrDb.push(frame.hnrDb);
      contours.h1H2Db.push(frame.h1H2Db);
      contours.h1A3Db.push(frame.h1A3Db);
      contours.formantDb[0].push(frame.a1Db);
      contours.formantDb[1].push(frame.a2Db);
      contours.formantDb[2].push(frame.a3Db);
      for (let f = 0; f < 3; f += 1) {
        contours.formantHz[f]!.push(frame.formantsHz[f]!);
        contours.bandwidthHz[f]!.push(frame.bandwidthsHz[f]!);
        if (frame.resonancesHz[f] === 0) continue;
        contours.resonances[f]!.frequencyHz.push(frame.resonancesHz[f]!);
        contours.resonances[f]!.bandwidthHz.push(frame.resonanceWidthsHz[f]!);
      }
    },
  });
  let input: PitchInput | undefined;

  function push(samples: Float32Array, offset: number, spectrum: Spectrum): void {
    fft.forward(samples, offset, window, re, im);
    for (let bin = 0; bin < magnitude.length; bin += 1) {
      magnitude[bin] = Math.sqrt(re[bin]! * re[bin]! + im[bin]! * im[bin]!);
    }
    input ??= { samples, offset, magnitude, spectrum };
    input.samples = samples;
    input.offset = offset;
    input.spectrum = spectrum;
    pitch.push(input);
  }

  return { ...contours, push, finish: () => pitch.finish() };
}

function createFormantMedians(): FormantMedians {
  const scale = { limit: 5500, step: 2 };
  return { frequencyHz: createMedian(scale), bandwidthHz: createMedian(scale) };
}
