import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import type {
  SpeechSegment,
  TranscriptSegment,
} from "../../../../shared/contracts/analysis-result.ts";
import { SAMPLE_RATE } from "../../decode/sample-format.ts";
import type { ModelEntry } from "../../models/model-entry.ts";
import { TranscriberError } from "../transcriber-error.ts";
import { TranscriptionRefusal } from "../transcription-refusal.ts";
import type {
  SpooledAudio,
  TranscribedUtterance,
  TranscriptionEngine,
} from "../transcription-engine.ts";
import { createWhisperThread } from "./create-whisper-thread.ts";
import { WINDOW_SAMPLES } from "./log-mel.ts";
import type { HeardWindow, WhisperThreadData, WhisperWindow } from "./protocol.ts";
import type { WhisperFile } from "./model-files.ts";
import { readLanguages } from "./read-languages.ts";
import { spreadWords } from "./spread-words.ts";
import { WhisperModelError } from "./whisper-error.ts";

/** As `resolveModel` gives a model that is here. */
export interface WhisperModelFiles {
  entry: Pick<ModelEntry, "name" | "version">;
  files: ReadonlyMap<string, WhisperFile>;
  /** The command that installs it again. */
  install?: string | undefined;
}

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

export interface WhisperEngine extends TranscriptionEngine {
  /** Gives the model's memory back, while nothing is transcribed; it is loaded again when something is. */
  unload(): Promise<void>;
  transcribe(...args: Parameters<TranscriptionEngine["transcribe"]>): Promise<WhisperUtterance[]>;
}

/** Times that an utterance is tried when the thread dies over it. */
const TRIES = 2;

interface Item {
  window: WhisperWindow;
  tries: number;
  resolve(heard: HeardWindow | undefined): void;
  reject(error: unknown): void;
}

/**
 * Whisper, by the ONNX files that it is published in. Utterances of all recordings that are transcribed at the same time
 * share batches, in turns: a long recording does not keep the others waiting.
 *
 * @param ready a model whose files are all here; they are checked when the first utterance comes
 */
export function createWhisper(
  { entry, files, install }: WhisperModelFiles,
  options: WhisperOptions = {},
): WhisperEngine {
  const { task = "transcribe", maxBatch = 8, threads = 1, maxTokens, onBatch } = options;
  const { temperatures, stallMs = 600_000, startThread } = options;
  const thread = createWhisperThread(
    { files: [...files.values()], threads, task, maxTokens, temperatures },
    { stallMs, startThread, onLeft: (id) => inBatch.get(id)?.resolve(undefined) },
  );
  /** What the thread is at, by the windows' ids. */
  let inBatch = new Map<number, Item>();
  /** What waits, by recording; the one whose turn it is comes first. */
  let queues: Item[][] = [];
  const alone: Item[] = [];
  let busy = false;
  let closed = false;
  let nextId = 1;

  /** One of each recording in turn. What a thread died over is tried by itself, so that it takes no other with it again. */
  function takeBatch(): Item[] {
    const single = alone.shift();
    if (single !== undefined) return [single];
    const batch: Item[] = [];
    while (batch.length < maxBatch) {
      const queue = queues.shift();
      if (queue === undefined) break;
      const item = queue.shift();
      if (item === undefined) continue;
      batch.push(item);
      queues.push(queue);
    }
    return batch;
  }

  /** A fault of the model's files, with its name and what mends it. */
  function told(error: unknown): unknown {
    if (!(error instanceof WhisperModelError)) return error;
    const mend = install === undefined ? "" : ` To install it again: ${install}`;
    return new WhisperModelError(error.fault, `${entry.name}: ${error.message}${mend}`);
  }

  /** As its files say, once they can be read. */
  let known: Promise<readonly string[]> | undefined;
  function languages(): Promise<readonly string[]> {
    known ??= readLanguages([...files.values()]).catch((error: unknown) => {
      known = undefined;
      throw told(error);
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

  async function work(): Promise<void> {
    if (busy) return;
    busy = true;
    // What is asked for in the same moment shares a batch.
    await new Promise(setImmediate);
    for (let batch = takeBatch(); batch.length > 0; batch = takeBatch()) {
      inBatch = new Map(batch.map((item) => [item.window.id, item]));
      try {
        const run = thread.run(batch.map(({ window }) => window));
        onBatch?.(batch.length);
        const { windows, unread } = await run;
        for (const { id, message } of unread) {
          inBatch
            .get(id)!
            .reject(new TranscriberError("transcriber_crashed", `No samples: ${message}`));
        }
        for (const window of windows) inBatch.get(window.id)!.resolve(window);
        // What was cancelled before it was begun.
        for (const { resolve } of batch) resolve(undefined);
      } catch (error) {
        const again = error instanceof TranscriberError && !closed;
        for (const item of batch) {
          item.tries += 1;
          if (again && item.tries < TRIES) alone.push(item);
          else item.reject(told(error));
        }
      }
    }
    inBatch = new Map();
    busy = false;
  }

  async function transcribe(
    audio: SpooledAudio,
    utterances: readonly SpeechSegment[],
    { signal, language, onUtterance }: Parameters<TranscriptionEngine["transcribe"]>[2],
  ): Promise<WhisperUtterance[]> {
    signal.throwIfAborted();
    if (closed) throw new TranscriberError("transcriber_closed", "Whisper was closed.");
    if (utterances.length === 0) return [];
    if (language !== undefined) await requireLanguage(language);
    const path = join(audio.folder, `${audio.name}.pcm`);
    const queue: Item[] = [];
    const heard = utterances.map((utterance) => {
      const { promise, resolve, reject } = Promise.withResolvers<HeardWindow | undefined>();
      const window = { id: nextId, path, ...placeOf(utterance, audio.samples), language };
      nextId += 1;
      queue.push({ window, tries: 0, resolve, reject });
      promise.catch(() => undefined);
      return promise;
    });
    const items = [...queue];
    /** Takes back what no batch has, and asks for the rest. */
    const leave = (reason: unknown) => {
      for (const item of items) {
        if (inBatch.has(item.window.id)) {
          item.tries = TRIES;
          thread.cancel(item.window.id);
        } else {
          const at = alone.indexOf(item);
          if (at >= 0) alone.splice(at, 1);
          item.reject(reason);
        }
      }
      queue.length = 0;
    };
    const abort = () => leave(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    queues.push(queue);
    void work();
    const spoken: WhisperUtterance[] = [];
    try {
      for (const [i, utterance] of utterances.entries()) {
        const window = await heard[i]!;
        signal.throwIfAborted();
        if (window === undefined) throw new TypeError("A window was left out.");
        const made = toUtterance(utterance, window);
        spoken.push(made);
        onUtterance?.(made);
      }
      return spoken;
    } catch (error) {
      if (!signal.aborted) leave(error);
      // Nothing runs on: what is in a batch answers when it has left it.
      await Promise.allSettled(heard);
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  return {
    quality: "full",
    wordTimes: "estimated",
    // A window is 30 s; a pause is part of what the model knows speech by.
    utterances: { maxS: 29, joinS: 2, padS: 0.25 },
    languages,
    describe: () =>
      Promise.resolve({
        name: entry.name,
        version: entry.version,
        model_sha256: hashOf([...files.values()].map(({ sha256 }) => sha256)),
      }),
    transcribe,
    unload: () => thread.close(),
    async close() {
      closed = true;
      const error = new TranscriberError("transcriber_closed", "Whisper was closed.");
      for (const { reject } of [...queues.flat(), ...alone]) reject(error);
      queues = [];
      alone.length = 0;
      await thread.close();
    },
  };
}

/** Samples of an utterance, within the recording. */
function placeOf({ start_s, end_s }: SpeechSegment, samples: number) {
  const from = Math.round(start_s * SAMPLE_RATE);
  const to = Math.min(samples, Math.round(end_s * SAMPLE_RATE));
  if (to - from > WINDOW_SAMPLES) {
    throw new RangeError(`Whisper hears ${WINDOW_SAMPLES / SAMPLE_RATE} s at once.`);
  }
  return { from, samples: Math.max(0, to - from) };
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

/** Of all files, in the manifest's order. */
function hashOf(hashes: readonly string[]): string {
  return createHash("sha256").update(hashes.join("\n")).digest("hex");
}
