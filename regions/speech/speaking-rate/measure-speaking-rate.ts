import type { SpeakingRate, SpeechSegment } from "../../../shared/contracts/analysis-result.ts";
import { findSyllableNuclei } from "./find-syllable-nuclei.ts";

export interface SpeakingRateInput {
  durationS: number;
  /** Level of each 10 ms, dB. */
  intensityDb: Float32Array;
  /** Whether the voice sounds in that 10 ms. */
  isVoiced: (frame: number) => boolean;
  /** Speech by a voice activity model: ordered, apart from one another. Without it, what is loud enough counts. */
  speech?: readonly SpeechSegment[] | undefined;
}

const HOP_S = 0.01;
/** Shorter gaps belong to the articulation, as the closure of a plosive does. */
const PAUSE_S = 0.3;
/** Nearer than this to speech, a nucleus belongs to it: voice activity is no sharper. */
const SLACK_S = 0.05;

/** Syllables, speech and articulation rate, and pauses. No speech at all gives zeros. */
export function measureSpeakingRate(input: SpeakingRateInput): SpeakingRate {
  const { durationS, intensityDb, isVoiced } = input;
  const nuclei = findSyllableNuclei({ intensityDb, isVoiced });
  const speech = input.speech ?? soundingParts(intensityDb, nuclei);
  const syllables = countWithin(nuclei, speech);
  const { phonationS, pauses } = measurePauses(speech);
  return {
    syllables,
    syllables_per_s: durationS > 0 ? round(syllables / durationS) : 0,
    articulation_rate: phonationS > 0 ? round(syllables / phonationS) : null,
    phonation_s: round(phonationS),
    pauses,
    method: "syllable nuclei: de Jong & Wempe 2009",
  };
}

/** Where intensity stays within 25 dB of the loudest nucleus: silence as de Jong and Wempe tell it. */
function soundingParts(intensityDb: Float32Array, nuclei: readonly number[]): SpeechSegment[] {
  if (nuclei.length === 0) return [];
  const loudest = nuclei.reduce((top, frame) => Math.max(top, intensityDb[frame]!), -Infinity);
  const parts: SpeechSegment[] = [];
  let begin = -1;
  for (let i = 0; i <= intensityDb.length; i += 1) {
    const sounds = i < intensityDb.length && intensityDb[i]! > loudest - 25;
    if (sounds && begin < 0) begin = i;
    if (!sounds && begin >= 0) {
      parts.push({ start_s: begin * HOP_S, end_s: i * HOP_S });
      begin = -1;
    }
  }
  return parts;
}

function countWithin(nuclei: readonly number[], speech: readonly SpeechSegment[]): number {
  let count = 0;
  let segment = 0;
  for (const frame of nuclei) {
    const time = (frame + 0.5) * HOP_S;
    while (segment < speech.length && speech[segment]!.end_s + SLACK_S < time) segment += 1;
    if (segment < speech.length && speech[segment]!.start_s - SLACK_S <= time) count += 1;
  }
  return count;
}

function measurePauses(speech: readonly SpeechSegment[]) {
  let count = 0;
  let total = 0;
  for (let i = 1; i < speech.length; i += 1) {
    const gap = speech[i]!.start_s - speech[i - 1]!.end_s;
    if (gap < PAUSE_S) continue;
    count += 1;
    total += gap;
  }
  const span = speech.length === 0 ? 0 : speech.at(-1)!.end_s - speech[0]!.start_s;
  return {
    phonationS: Math.max(0, span - total),
    pauses: { count, total_s: round(total) },
  };
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
