import type { Transcript } from "../contracts/analysis-result.ts";
import { nameOfLanguage } from "../contracts/spoken-language.ts";
import type { TimestampGranularity, VerboseTranscription } from "../contracts/transcription.ts";

export interface VerboseOptions {
  duration_s: number;
  temperature: number;
  granularities: readonly TimestampGranularity[];
}

/**
 * OpenAI's `verbose_json`. Its fields for Whisper's inner workings are there because clients' types ask for them: `tokens`
 * is empty, `seek` 0 and `compression_ratio` 1. `no_speech_prob` and `avg_logprob` are the engine's own where it has them;
 * else 0, and the mean of the words' confidences, as logarithms.
 */
export function toVerbose(
  { text, language, quality, words = [], segments }: Transcript,
  { duration_s, temperature, granularities }: VerboseOptions,
): VerboseTranscription {
  return {
    task: "transcribe",
    language: nameOfLanguage(language),
    duration: duration_s,
    text,
    quality,
    ...(granularities.includes("word")
      ? { words: words.map(({ word, start_s, end_s }) => ({ word, start: start_s, end: end_s })) }
      : {}),
    ...(granularities.includes("segment")
      ? {
          segments: segments.map((segment, id) => ({
            id,
            seek: 0,
            start: segment.start_s,
            end: segment.end_s,
            text: segment.text,
            tokens: [],
            temperature,
            avg_logprob:
              segment.average_logprob ??
              meanLog(
                words
                  .filter(({ start_s }) => start_s >= segment.start_s && start_s <= segment.end_s)
                  .flatMap(({ confidence }) => (confidence === undefined ? [] : [confidence])),
              ),
            compression_ratio: 1,
            no_speech_prob: segment.no_speech_probability ?? 0,
          })),
        }
      : {}),
  };
}

/** A word may have no confidence left at all; its logarithm is kept finite, since JSON has no other numbers. */
const LEAST_CONFIDENCE = 1e-4;

function meanLog(confidences: readonly number[]): number {
  if (confidences.length === 0) return 0;
  const sum = confidences.reduce(
    (total, confidence) => total + Math.log(Math.max(LEAST_CONFIDENCE, confidence)),
    0,
  );
  return sum / confidences.length;
}
