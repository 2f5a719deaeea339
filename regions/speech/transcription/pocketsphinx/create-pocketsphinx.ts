import type { Engine, SpeechSegment } from "../../../../shared/contracts/analysis-result.ts";
import { TranscriberError } from "../transcriber-error.ts";
import type { TranscribedUtterance, TranscriptionEngine } from "../transcription-engine.ts";
import { describePocketsphinx } from "./describe-pocketsphinx.ts";
import type { Pocketsphinx } from "./find-pocketsphinx.ts";
import type { PocketsphinxAnswer } from "./read-answers.ts";
import { runPocketsphinx } from "./run-pocketsphinx.ts";

export interface PocketsphinxOptions {
  /** A process that answers nothing for so long is killed; an utterance takes a quarter of its length on an idle core. */
  stallMs?: number;
}

/** Processes that may end over one utterance before it is given up. */
const TRIES = 2;

/**
 * PocketSphinx, a recogniser that needs no download from a model hub: one process for each recording. It understands about
 * three words of four of clear speech in US English, without case and punctuation, hence `fallback`.
 */
export function createPocketsphinx(
  found: Pocketsphinx,
  { stallMs = 300_000 }: PocketsphinxOptions = {},
): TranscriptionEngine {
  let description: Promise<Engine> | undefined;

  return {
    quality: "fallback",
    wordTimes: "measured",
    utterances: { maxS: 20, joinS: 0.8, padS: 0.25 },
    languages: () => Promise.resolve(["en"]),
    describe() {
      description ??= describePocketsphinx(found);
      // A file that could not be read may be there the next time.
      description.catch(() => (description = undefined));
      return description;
    },
    async transcribe(audio, utterances, { signal, onUtterance }) {
      const spoken: TranscribedUtterance[] = [];
      let failedAt = -1;
      let tries = 0;
      while (spoken.length < utterances.length) {
        const from = spoken.length;
        try {
          await runPocketsphinx(found, audio, utterances.slice(from), {
            signal,
            stallMs,
            onAnswer: (at, answer) => {
              const utterance = place(utterances[from + at]!, answer);
              spoken.push(utterance);
              onUtterance?.(utterance);
            },
          });
        } catch (error) {
          if (!(error instanceof TranscriberError) || signal.aborted) throw error;
          tries = spoken.length === failedAt ? tries + 1 : 1;
          failedAt = spoken.length;
          if (tries >= TRIES) throw error;
        }
      }
      return spoken;
    },
    // Whoever transcribes has a signal, and no process outlives its recording.
    close: () => Promise.resolve(),
  };
}

/** An answer in the recording's time, kept within its utterance. */
function place(
  { start_s, end_s }: SpeechSegment,
  { words }: PocketsphinxAnswer,
): TranscribedUtterance {
  const within = (time_s: number) =>
    Math.round(Math.max(start_s, Math.min(end_s, start_s + time_s)) * 100) / 100;
  return {
    start_s,
    end_s,
    language: "en",
    words: words.map(({ word, confidence, ...at }) => ({
      word,
      start_s: within(at.start_s),
      end_s: within(at.start_s + at.length_s),
      confidence,
    })),
  };
}
