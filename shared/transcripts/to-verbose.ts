import type { Transcript } from "../contracts/analysis-result.ts";
import type { TimestampGranularity, VerboseTranscription } from "../contracts/transcription.ts";

const LANGUAGE_NAMES = new Intl.DisplayNames("en", { type: "language" });

export interface VerboseOptions {
  duration_s: number;
  temperature: number;
  granularities: readonly TimestampGranularity[];
}

/**
 * OpenAI's `verbose_json`. Its fields for Whisper's inner workings are there because clients' types ask for them: `tokens`
 * is empty, `seek`, `no_speech_prob` 0 and `compression_ratio` 1. `avg_logprob` is the mean of the words' confidences, as
 * logarithms; 0 where the engine gives none.
 */
export function toVerbose(
  { text, language, quality, words = [], segments }: Transcript,
  { duration_s, temperature, granularities }: VerboseOptions,
): VerboseTranscription {
  return {
    task: "transcribe",
    language: (LANGUAGE_NAMES.of(language) ?? language).toLowerCase(),
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
            avg_logprob: meanLog(
              words
                .filter(({ start_s }) => start_s >= segment.start_s && start_s <= segment.end_s)
                .flatMap(({ confidence }) => (confidence === undefined ? [] : [confidence])),
            ),
            compression_ratio: 1,
            no_speech_prob: 0,
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
