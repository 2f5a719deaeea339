import type {
  AcousticFeatures,
  FeatureTracks,
  UnavailablePart,
} from "../../../shared/contracts/analysis-result.ts";
import { egemapsNames } from "../../../shared/contracts/egemaps-names.ts";
import type { EgemapsName } from "../../../shared/contracts/egemaps-names.ts";
import type { EgemapsResult, EgemapsTracks } from "./egemaps.ts";

/** Frames of an hour: a result must stay of a size that can be stored, sent and shown. */
const MOST_FRAMES = 360_000;

/**
 * The features as a result carries them: what has nothing to be taken from is null, and the tracks are rounded (0.1 Hz,
 * 0.001 of loudness) and thinned until they have no more than `mostFrames` values.
 */
export function toFeaturesPart(
  { features, formants, tracks }: EgemapsResult,
  mostFrames = MOST_FRAMES,
): AcousticFeatures | UnavailablePart {
  const { f0_hz, loudness } = tracks;
  if (f0_hz.length === 0 || loudness.length === 0) {
    return {
      status: "unavailable",
      reason: "The recording is shorter than one frame of analysis, 60 ms.",
    };
  }
  const voiced = f0_hz.some((hz) => hz > 0);
  const unvoiced = f0_hz.some((hz) => hz === 0);
  const values = Object.fromEntries(
    egemapsNames.map((name) => {
      const value = features[name];
      const taken = isOfUnvoiced(name) ? unvoiced : isOfVoiced(name) ? voiced : true;
      return [name, taken && value !== undefined && Number.isFinite(value) ? value : null];
    }),
  ) as Record<EgemapsName, number | null>;
  return {
    set: "eGeMAPSv02",
    values,
    formants: formants.map(({ frequencyHz, bandwidthHz }) => ({
      frequency_hz: Math.round(frequencyHz),
      bandwidth_hz: Math.round(bandwidthHz),
    })),
    tracks: toTracks(tracks, mostFrames),
  };
}

function isOfUnvoiced(name: string): boolean {
  return name.includes("UV") || name.includes("UnvoicedSegmentLength");
}

function isOfVoiced(name: string): boolean {
  return name.includes("_sma3nz_") || name.includes("VoicedSegmentLength");
}

function toTracks({ hop_s, f0_hz, loudness }: EgemapsTracks, mostFrames: number): FeatureTracks {
  const step = Math.ceil(Math.max(f0_hz.length, loudness.length) / mostFrames);
  return {
    hop_s: Math.round(hop_s * step * 1000) / 1000,
    f0_hz: thin(f0_hz, step, meanOfVoiced, 10),
    loudness: thin(loudness, step, mean, 1000),
  };
}

function thin(
  track: Float32Array,
  step: number,
  join: (part: Float32Array) => number,
  steps: number,
): number[] {
  const length = Math.ceil(track.length / step);
  return Array.from({ length }, (_, i) => {
    const value = step === 1 ? track[i]! : join(track.subarray(i * step, (i + 1) * step));
    return Number.isFinite(value) ? Math.max(0, Math.round(value * steps) / steps) : 0;
  });
}

/** 0 unless half of the frames have a voice. */
function meanOfVoiced(part: Float32Array): number {
  const voiced = part.filter((hz) => hz > 0);
  return voiced.length * 2 < part.length ? 0 : mean(voiced);
}

function mean(part: Float32Array): number {
  return part.reduce((sum, value) => sum + value, 0) / Math.max(1, part.length);
}
