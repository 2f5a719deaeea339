import type { Contour } from "./contour.ts";
import { contourDynamics } from "./functionals/contour-dynamics.ts";
import { moments } from "./functionals/moments.ts";
import { percentile } from "./functionals/percentile.ts";
import { present, smooth, smoothPresent } from "./functionals/smooth.ts";
import { voicingSegments } from "./functionals/voicing-segments.ts";
import type { PitchContours } from "./pitch-contours.ts";
import type { SpectralContours } from "./spectral-contours.ts";

/** The lowest note that F0 is counted from, in semitones. */
const LOWEST_NOTE_HZ = 27.5;

/**
 * The 88 functionals of eGeMAPSv02 by openSMILE's names and in its order, from the contours of a whole recording.
 * What has no value (no voiced frame, say) is 0.
 *
 * @param hopS seconds from one frame to the next
 */
export function summarize(
  spectral: SpectralContours,
  pitch: PitchContours,
  hopS: number,
): Record<string, number> {
  const features: Record<string, number> = {};
  const f0 = pitch.f0Hz.values();
  // Used again for each descriptor: an hour would otherwise leave a hundred megabytes of copies to be collected.
  const kept = new Float32Array(f0.length);
  const smoothed = new Float32Array(f0.length);
  const voiced = (contour: Contour): Float32Array => keepWhere(contour, f0, true, kept);
  const unvoiced = (contour: Contour): Float32Array => keepWhere(contour, f0, false, kept);
  const all = (contour: Contour): Float32Array => {
    for (let i = 0; i < kept.length; i += 1) kept[i] = contour.at(i);
    return kept;
  };

  const semitones = f0.map((hz) => (hz > 0 ? 12 * Math.log2(hz / LOWEST_NOTE_HZ) : 0));
  const notes = smoothPresent(semitones);
  addDetailed(features, "F0semitoneFrom27.5Hz_sma3nz", present(notes), hopS);
  const loudness = smooth(spectral.loudness.values());
  const loudnessPeaks = addDetailed(features, "loudness_sma3", loudness, hopS);
  addMoments(features, "spectralFlux_sma3", smooth(spectral.flux.values()));
  spectral.mfcc.forEach((contour, at) => {
    addMoments(features, `mfcc${at + 1}_sma3`, smooth(contour.values()));
  });

  const addPresent = (name: string, values: Float32Array): void => {
    addMoments(features, `${name}_sma3nz`, present(smoothPresent(values, smoothed), smoothed));
  };
  addPresent("jitterLocal", all(pitch.jitter));
  addPresent("shimmerLocaldB", all(pitch.shimmerDb));
  addPresent("HNRdBACF", all(pitch.hnrDb));
  addPresent("logRelF0-H1-H2", all(pitch.h1H2Db));
  addPresent("logRelF0-H1-A3", all(pitch.h1A3Db));
  for (const at of [0, 1, 2] as const) {
    addPresent(`F${at + 1}frequency`, all(pitch.formantHz[at]));
    addPresent(`F${at + 1}bandwidth`, all(pitch.bandwidthHz[at]));
    addPresent(`F${at + 1}amplitudeLogRelF0`, all(pitch.formantDb[at]));
  }
  addPresent("alphaRatioV", voiced(spectral.alphaRatio));
  addPresent("hammarbergIndexV", voiced(spectral.hammarberg));
  addPresent("slopeV0-500", voiced(spectral.slope0To500));
  addPresent("slopeV500-1500", voiced(spectral.slope500To1500));
  addPresent("spectralFluxV", voiced(spectral.flux));
  spectral.mfcc.forEach((contour, at) => addPresent(`mfcc${at + 1}V`, voiced(contour)));

  const addMean = (name: string, contour: Contour): void => {
    const { mean } = moments(present(smoothPresent(unvoiced(contour), smoothed), smoothed));
    features[`${name}_sma3nz_amean`] = mean;
  };
  addMean("alphaRatioUV", spectral.alphaRatio);
  addMean("hammarbergIndexUV", spectral.hammarberg);
  addMean("slopeUV0-500", spectral.slope0To500);
  addMean("slopeUV500-1500", spectral.slope500To1500);
  addMean("spectralFluxUV", spectral.flux);

  const segments = voicingSegments(notes, hopS);
  const duration = loudness.length * hopS;
  features["loudnessPeaksPerSec"] = duration > 0 ? loudnessPeaks / duration : 0;
  features["VoicedSegmentsPerSec"] = segments.voicedPerSecond;
  features["MeanVoicedSegmentLengthSec"] = segments.meanVoicedLength;
  features["StddevVoicedSegmentLengthSec"] = segments.stddevVoicedLength;
  features["MeanUnvoicedSegmentLength"] = segments.meanUnvoicedLength;
  features["StddevUnvoicedSegmentLength"] = segments.stddevUnvoicedLength;
  features["equivalentSoundLevel_dBp"] = 10 * Math.log10(Math.max(1e-12, spectral.meanEnergy()));
  return features;
}

function addMoments(features: Record<string, number>, name: string, values: Float32Array): void {
  const { mean, stddevNorm } = moments(values);
  features[`${name}_amean`] = mean;
  features[`${name}_stddevNorm`] = stddevNorm;
}

/** Adds the ten functionals that only F0 and loudness have. Returns the number of peaks. */
function addDetailed(
  features: Record<string, number>,
  name: string,
  values: Float32Array,
  hopS: number,
): number {
  addMoments(features, name, values);
  const sorted = values.toSorted();
  const [p20, p50, p80] = [0.2, 0.5, 0.8].map((share) => percentile(sorted, share));
  features[`${name}_percentile20.0`] = p20!;
  features[`${name}_percentile50.0`] = p50!;
  features[`${name}_percentile80.0`] = p80!;
  features[`${name}_pctlrange0-2`] = p80! - p20!;
  const { peaks, ...slopes } = contourDynamics(values, hopS);
  for (const [slope, value] of Object.entries(slopes)) features[`${name}_${slope}`] = value;
  return peaks;
}

/** The contour where frames are voiced (or are not), 0 elsewhere; frames without a pitch frame count as neither. */
function keepWhere(
  contour: Contour,
  f0: Float32Array,
  isVoiced: boolean,
  kept: Float32Array,
): Float32Array {
  for (let i = 0; i < kept.length; i += 1) {
    kept[i] = f0[i]! > 0 === isVoiced ? contour.at(i) : 0;
  }
  return kept;
}
