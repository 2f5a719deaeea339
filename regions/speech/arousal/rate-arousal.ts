import type { Emotion, UnavailablePart } from "../../../shared/contracts/analysis-result.ts";
import { globalReference, scoreAgainst } from "./neutral-reference.ts";
import type { NeutralReference } from "./neutral-reference.ts";

export interface ArousalInput {
  /** Of the voiced frames alone, one value each: F0 in Hz, intensity in dB of full scale, HF500 in dB. */
  f0Hz: Float32Array;
  intensityDb: Float32Array;
  hf500Db: Float32Array;
}

const FRAME_S = 0.01;
/** Less voice than this says nothing about its medians. */
const LEAST_VOICE_S = 0.3;
/** Voice that halves the doubt which comes of its shortness. */
const HALF_SURE_S = 1.5;
/** What the lack of the speaker's own calm speech leaves of the confidence. */
const WITHOUT_BASELINE = 0.5;

/**
 * Vocal arousal after D. Bone, C.-C. Lee and S. Narayanan, IEEE Transactions on Affective Computing 5(2), 2014: the
 * medians of pitch, intensity and HF500 over voiced speech, each as its place among calm speech from -1 to 1, and these
 * fused. They weigh cues by how each goes along with the others over many utterances of a speaker; one recording has
 * no such thing, so here all weigh the same. Confidence falls with short voice and with cues that contradict one another.
 */
export function rateArousal(
  { f0Hz, intensityDb, hf500Db }: ArousalInput,
  reference: NeutralReference = globalReference,
): Emotion | UnavailablePart {
  const voiceS = f0Hz.length * FRAME_S;
  if (voiceS < LEAST_VOICE_S) {
    return {
      status: "unavailable",
      reason: `Arousal is read from the voice, and the recording has less than ${LEAST_VOICE_S} s of it.`,
    };
  }
  const pitch = median(f0Hz);
  const intensity = median(intensityDb);
  const hf500 = median(hf500Db);
  const scores = [
    scoreAgainst(reference.pitch, Math.log2(pitch)),
    scoreAgainst(reference.intensity, intensity),
    scoreAgainst(reference.hf500, hf500),
  ] as const;
  const agreement = 1 - (Math.max(...scores) - Math.min(...scores)) / 2;
  const coverage = voiceS / (voiceS + HALF_SURE_S);
  return {
    arousal: round((scores[0] + scores[1] + scores[2]) / 3, 1000),
    confidence: round(WITHOUT_BASELINE * agreement * coverage, 1000),
    method: "rule-based: Bone, Lee & Narayanan 2014",
    baseline: "global",
    cues: {
      pitch: { median_hz: round(pitch, 10), score: round(scores[0], 1000) },
      intensity: { median_dbfs: round(intensity, 10), score: round(scores[1], 1000) },
      hf500: { median_db: round(hf500, 10), score: round(scores[2], 1000) },
    },
  };
}

function median(values: Float32Array): number {
  const sorted = values.toSorted();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function round(value: number, steps: number): number {
  return Math.round(value * steps) / steps;
}
