import type {
  AcousticFeatures,
  Emotion,
  SpeakingRate,
  SpeechSegment,
  UnavailablePart,
} from "../../shared/contracts/analysis-result.ts";
import { createBandMeter } from "./arousal/create-band-meter.ts";
import { rateArousal } from "./arousal/rate-arousal.ts";
import { SAMPLE_RATE } from "./decode/sample-format.ts";
import { createEgemaps } from "./features/egemaps.ts";
import { toFeaturesPart } from "./features/to-features-part.ts";
import { createIntensityMeter } from "./levels/create-intensity-meter.ts";
import { measureSpeakingRate } from "./speaking-rate/measure-speaking-rate.ts";

export interface VoiceMeasures {
  features: AcousticFeatures | UnavailablePart;
  speaking_rate: SpeakingRate;
  emotion: Emotion | UnavailablePart;
}

export interface VoiceMeter {
  /** Takes the next samples: 16 kHz mono, finite. */
  push(block: Float32Array): void;
  /**
   * To be called once, after the last block.
   * @param speech where a voice activity model heard speech, if one was there
   */
  finish(speech?: readonly SpeechSegment[]): VoiceMeasures;
}

/** A pitch frame is 60 ms from its left edge, a level frame 10 ms: the middle of pitch frame i lies at the start of level frame i + 3. */
const PITCH_AHEAD = 3;
const HOP_S = 0.01;
/** Float files may exceed full scale, but nothing that was sound does by 36 dB; beyond it sums would overflow. */
const LOUDEST = 64;

/** All that is measured of the voice without a model, in one pass over the samples. Holds about 110 bytes for each 10 ms. */
export function createVoiceMeter(): VoiceMeter {
  const egemaps = createEgemaps();
  const intensity = createIntensityMeter();
  const bands = createBandMeter();
  let samples = 0;

  return {
    push(block) {
      samples += block.length;
      const bounded = withinBounds(block);
      egemaps.push(bounded);
      intensity.push(bounded);
      bands.push(bounded);
    },
    finish(speech) {
      const measured = egemaps.finish();
      const f0Hz = measured.tracks.f0_hz;
      const intensityDb = intensity.finish();
      const hf500Db = bands.finish();
      const voiced = voicedFrames(f0Hz, speech);
      const at = (track: Float32Array, ahead: number) =>
        voiced.map((i) => track[Math.min(i + ahead, track.length - 1)]!);
      return {
        features: toFeaturesPart(measured),
        speaking_rate: measureSpeakingRate({
          durationS: samples / SAMPLE_RATE,
          intensityDb,
          isVoiced: (frame) => isNear(f0Hz, frame - PITCH_AHEAD),
          speech,
        }),
        emotion: rateArousal({
          f0Hz: at(f0Hz, 0),
          intensityDb: at(intensityDb, PITCH_AHEAD),
          hf500Db: at(hf500Db, PITCH_AHEAD),
        }),
      };
    },
  };
}

/** Frames of pitch that have one and whose middle lies in speech, where that is known. */
function voicedFrames(
  f0Hz: Float32Array,
  speech: readonly SpeechSegment[] | undefined,
): Float32Array {
  // Numbers of frames are exact in these up to 2^24, 46 hours.
  const frames = new Float32Array(f0Hz.length);
  let count = 0;
  let segment = 0;
  for (let i = 0; i < f0Hz.length; i += 1) {
    if (f0Hz[i]! === 0) continue;
    if (speech !== undefined) {
      const time = (i + PITCH_AHEAD) * HOP_S;
      while (segment < speech.length && speech[segment]!.end_s < time) segment += 1;
      if (segment === speech.length) break;
      if (speech[segment]!.start_s > time) continue;
    }
    frames[count] = i;
    count += 1;
  }
  return frames.subarray(0, count);
}

/** The middle of a frame of level lies between those of two frames of pitch. */
function isNear(f0Hz: Float32Array, frame: number): boolean {
  const last = f0Hz.length - 1;
  const clamp = (at: number) => Math.max(0, Math.min(last, at));
  return last >= 0 && (f0Hz[clamp(frame)]! > 0 || f0Hz[clamp(frame + 1)]! > 0);
}

function withinBounds(block: Float32Array): Float32Array {
  for (let i = 0; i < block.length; i += 1) {
    if (Math.abs(block[i]!) > LOUDEST) {
      return block.map((sample) => Math.max(-LOUDEST, Math.min(LOUDEST, sample)));
    }
  }
  return block;
}
