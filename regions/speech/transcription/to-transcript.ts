import type { Transcript } from "../../../shared/contracts/analysis-result.ts";
import type { TranscribedUtterance, TranscriptionEngine } from "./transcription-engine.ts";

/** Puts utterances together; those in which no word was understood leave no segment. */
export function toTranscript(
  utterances: readonly TranscribedUtterance[],
  { language, quality }: Pick<TranscriptionEngine, "language" | "quality">,
): Transcript {
  const spoken = utterances.filter(({ words }) => words.length > 0);
  const segments = spoken.map(({ words }) => ({
    start_s: words[0]!.start_s,
    end_s: words.at(-1)!.end_s,
    text: words.map(({ word }) => word).join(" "),
  }));
  return {
    text: segments.map(({ text }) => text).join(" "),
    language,
    quality,
    words: spoken.flatMap(({ words }) => words),
    segments,
  };
}
