import { createContour } from "./contour.ts";
import type { Contour } from "./contour.ts";
import { createLoudness } from "./loudness.ts";
import { createMelBank } from "./mel-bank.ts";
import { createMfcc } from "./mfcc.ts";
import { createRealFft } from "./real-fft.ts";
import { createSpectralBalance } from "./spectral-balance.ts";
import { createSpectralFlux } from "./spectral-flux.ts";
import { hammingWindow } from "./windows.ts";

/** Samples of a spectral frame: 20 ms at 16 kHz. */
export const SPECTRAL_FRAME = 320;

const FFT_SIZE = 512;
const BANDS = 26;
/** Band power below which a band counts as empty: one unit of 16 bits squared. */
const BAND_FLOOR = 1 / 32_768 ** 2;
const LOG_BAND_FLOOR = Math.log(BAND_FLOOR);

/** Frames whose spectra are kept for whoever comes after. */
export const SPECTRA_KEPT = 32;

/** Bins from 0 Hz up to the Nyquist frequency. */
export interface Spectrum {
  re: Float64Array;
  im: Float64Array;
}

/** The descriptors of the 20 ms frames, one contour each. */
export interface SpectralContours {
  /** Takes the next frame, `samples[offset … offset + SPECTRAL_FRAME)`. */
  push(samples: Float32Array, offset: number): void;
  readonly loudness: Contour;
  readonly flux: Contour;
  readonly mfcc: readonly [Contour, Contour, Contour, Contour];
  readonly alphaRatio: Contour;
  readonly hammarberg: Contour;
  readonly slope0To500: Contour;
  readonly slope500To1500: Contour;
  /** The complex spectrum of one of the latest `SPECTRA_KEPT` frames; valid until the next `push`. */
  spectrum(index: number): Spectrum;
  /** Mean square of all frames so far: of each frame, then over the frames. */
  meanEnergy(): number;
}

/** Computes each frame's spectrum once and every spectral descriptor from it. */
export function createSpectralContours(sampleRate: number): SpectralContours {
  const fft = createRealFft(FFT_SIZE);
  const window = hammingWindow(SPECTRAL_FRAME);
  const spectra = Array.from({ length: SPECTRA_KEPT }, () => ({
    re: new Float64Array(FFT_SIZE / 2 + 1),
    im: new Float64Array(FFT_SIZE / 2 + 1),
  }));
  const power = new Float64Array(FFT_SIZE / 2 + 1);
  const size = { fftSize: FFT_SIZE, sampleRate };
  const melBank = createMelBank({ ...size, bands: BANDS, lowHz: 20, highHz: 8000 });
  const bands = new Float64Array(BANDS);
  const loudness = createLoudness(melBank.centresHz);
  const mfcc = createMfcc({ bands: BANDS, coefficients: 4, lifter: 22 });
  const cepstrum = new Float64Array(4);
  const flux = createSpectralFlux((5000 * FFT_SIZE) / sampleRate);
  const balance = createSpectralBalance(size);
  let energy = 0;
  let pushed = 0;

  const contours = {
    loudness: createContour(),
    flux: createContour(),
    mfcc: [createContour(), createContour(), createContour(), createContour()],
    alphaRatio: createContour(),
    hammarberg: createContour(),
    slope0To500: createContour(),
    slope500To1500: createContour(),
  } as const;

  function push(samples: Float32Array, offset: number): void {
    let square = 0;
    for (let i = 0; i < SPECTRAL_FRAME; i += 1) square += samples[offset + i]! ** 2;
    energy += square / SPECTRAL_FRAME;
    const { re, im } = spectra[pushed % SPECTRA_KEPT]!;
    pushed += 1;
    fft.forward(samples, offset, window, re, im);
    for (let bin = 0; bin < power.length; bin += 1) {
      power[bin] = re[bin]! * re[bin]! + im[bin]! * im[bin]!;
    }
    melBank.apply(power, bands);
    for (let b = 0; b < BANDS; b += 1) bands[b] = Math.log(Math.max(BAND_FLOOR, bands[b]!));
    contours.loudness.push(loudness.of(bands, LOG_BAND_FLOOR));
    mfcc.of(bands, cepstrum);
    for (let c = 0; c < 4; c += 1) contours.mfcc[c]!.push(cepstrum[c]!);
    contours.flux.push(flux.of(power));
    const { alphaRatio, hammarberg, slope0To500, slope500To1500 } = balance.of(power);
    contours.alphaRatio.push(alphaRatio);
    contours.hammarberg.push(hammarberg);
    contours.slope0To500.push(slope0To500);
    contours.slope500To1500.push(slope500To1500);
  }

  return {
    ...contours,
    push,
    spectrum: (index) => spectra[index % SPECTRA_KEPT]!,
    meanEnergy: () => (contours.loudness.length === 0 ? 0 : energy / contours.loudness.length),
  };
}
