import type { Transcript, TranscriptSegment } from "../../../shared/contracts/analysis-result.ts";
import type { TranscribedUtterance, TranscriptionEngine } from "./transcription-engine.ts";

/**
 * Puts utterances together; those in which no word was understood leave no segment. The language is that of most of the
 * speech in which something was.
 *
 * @param language that was asked for, or the only one that the engine knows: what there is to say of a silent recording
 */
export function toTranscript(
  utterances: readonly TranscribedUtterance[],
  { quality, wordTimes }: Pick<TranscriptionEngine, "quality" | "wordTimes">,
  language = "und",
): Transcript {
  const spoken = utterances.filter(({ words }) => words.length > 0);
  const segments = spoken.flatMap((utterance) => utterance.segments ?? [segmentOf(utterance)]);
  return {
    text: segments.map(({ text }) => text).join(" "),
    language: mostSpoken(spoken) ?? language,
    quality,
    words: spoken.flatMap(({ words }) => words),
    word_times: wordTimes,
    segments,
  };
}

function segmentOf({ words }: TranscribedUtterance): TranscriptSegment {
  return {
    start_s: words[0]!.start_s,
    end_s: words.at(-1)!.end_s,
    text: words.map(({ word }) => word).join(" "),
  };
}

function mostSpoken(utterances: readonly TranscribedUtterance[]): string | undefined {
  const seconds = new Map<string, number>();
  for (const { language, start_s, end_s } of utterances) {
    seconds.set(language, (seconds.get(language) ?? 0) + end_s - start_s);
  }
  return [...seconds].toSorted(([, a], [, b]) => b - a)[0]?.[0];
}
