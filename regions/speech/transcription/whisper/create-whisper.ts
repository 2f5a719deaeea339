import { Worker } from "node:worker_threads";
import type {
  SpeechSegment,
  TranscriptSegment,
} from "../../../../shared/contracts/analysis-result.ts";
import { createWindowRunner } from "../neural/create-window-runner.ts";
import { describeModel } from "../neural/ready-model.ts";
import type { ReadyModelFiles } from "../neural/ready-model.ts";
import { spreadWords } from "../neural/spread-words.ts";
import { TranscriptionRefusal } from "../transcription-refusal.ts";
import type {
  SpooledAudio,
  TranscribedUtterance,
  TranscriptionEngine,
  UnloadableEngine,
} from "../transcription-engine.ts";
import { WINDOW_SAMPLES } from "./log-mel.ts";
import type { HeardWindow, WhisperThreadData, WhisperWindow } from "./protocol.ts";
import { readLanguages } from "./read-languages.ts";

export interface WhisperOptions {
  /** `translate` makes English of every language. */
  task?: "transcribe" | "translate";
  /** Windows that run together at most. */
  maxBatch?: number;
  /** Threads that one run of the model may use on the CPU. */
  threads?: number;
  /** Tokens of an utterance at most; half of what the model has positions for when absent. */
  maxTokens?: number | undefined;
  /** Tried in turn while an answer is not plausible; `[0]` never draws by chance. */
  temperatures?: readonly number[] | undefined;
  /** A single run of one of the model's graphs that takes so long is stuck. */
  stallMs?: number;
  /** Told of the size of each batch that is run. */
  onBatch?: ((windows: number) => void) | undefined;
  /** Starts the thread; a test may keep hold of it. */
  startThread?: ((data: WhisperThreadData) => Worker) | undefined;
}

/** What Whisper says of an utterance beyond its words. */
export interface WhisperUtterance extends TranscribedUtterance {
  /** As the model has it, with punctuation and spaces. */
  text: string;
  /** What the model itself gave times to. */
  segments: TranscriptSegment[];
  language_probability: number;
  no_speech: number;
  average_logprob: number;
  /** Text of `silence` and of what is `repetitive` is left out. */
  verdict: HeardWindow["verdict"];
}

export interface WhisperEngine extends UnloadableEngine {
  transcribe(...args: Parameters<TranscriptionEngine["transcribe"]>): Promise<WhisperUtterance[]>;
}

const start = (data: WhisperThreadData): Worker =>
  new Worker(new URL("./whisper-thread.ts", import.meta.url), { workerData: data });

/**
 * Whisper, by the ONNX files that it is published in, on a thread of its own.
 *
 * @param ready a model whose files are all here; they are checked when the first utterance comes
 */
export function createWhisper(ready: ReadyModelFiles, options: WhisperOptions = {}): WhisperEngine {
  const { entry, files, install } = ready;
  const { task = "transcribe", maxBatch = 8, threads = 1, maxTokens, onBatch } = options;
  const { temperatures, stallMs = 600_000, startThread = start } = options;
  const runner = createWindowRunner<WhisperWindow, HeardWindow>({
    name: "Whisper",
    model: entry.name,
    install,
    maxSamples: WINDOW_SAMPLES,
    maxBatch,
    stallMs,
    startThread: () =>
      startThread({ files: [...files.values()], threads, task, maxTokens, temperatures }),
    onBatch,
  });

  /** As its files say, once they can be read. */
  let known: Promise<readonly string[]> | undefined;
  function languages(): Promise<readonly string[]> {
    known ??= readLanguages([...files.values()]).catch((error: unknown) => {
      known = undefined;
      throw runner.told(error);
    });
    return known;
  }

  async function requireLanguage(language: string): Promise<void> {
    if ((await languages()).includes(language)) return;
    throw new TranscriptionRefusal(
      "language_unsupported",
      `The model ${entry.name} does not know the language ${language}.`,
    );
  }

  async function transcribe(
    audio: SpooledAudio,
    utterances: readonly SpeechSegment[],
    { signal, language, onUtterance }: Parameters<TranscriptionEngine["transcribe"]>[2],
  ): Promise<WhisperUtterance[]> {
    signal.throwIfAborted();
    runner.assertOpen();
    if (utterances.length === 0) return [];
    if (language !== undefined) await requireLanguage(language);
    const spoken: WhisperUtterance[] = [];
    await runner.hear(audio, utterances, { language }, signal, (utterance, heard) => {
      const made = toUtterance(utterance, heard);
      spoken.push(made);
      onUtterance?.(made);
    });
    return spoken;
  }

  return {
    quality: "full",
    wordTimes: "estimated",
    // A window is 30 s; a pause is part of what the model knows speech by.
    utterances: { maxS: 29, joinS: 2, padS: 0.25 },
    languages,
    describe: () => Promise.resolve(describeModel(ready)),
    transcribe,
    unload: () => runner.unload(),
    close: () => runner.close(),
  };
}

/** Times of the recording: those of the window, from where the utterance begins, and none beyond where it ends. */
function toUtterance({ start_s, end_s }: SpeechSegment, heard: HeardWindow): WhisperUtterance {
  const at = (time_s: number): number =>
    Math.min(end_s, Math.round((start_s + time_s) * 100) / 100);
  const segments = heard.pieces.map((piece) => {
    return {
      start_s: at(piece.start_s),
      end_s: at(piece.end_s),
      text: piece.text,
      average_logprob: heard.average_logprob,
      no_speech_probability: heard.no_speech,
    };
  });
  return {
    start_s,
    end_s,
    words: segments.flatMap((own) => spreadWords(own.text, heard.language, own.start_s, own.end_s)),
    text: segments.map(({ text }) => text).join(" "),
    segments,
    language: heard.language,
    language_probability: heard.language_probability,
    no_speech: heard.no_speech,
    average_logprob: heard.average_logprob,
    verdict: heard.verdict,
  };
}
