import { Worker } from "node:worker_threads";
import type { SpeechSegment } from "../../../../shared/contracts/analysis-result.ts";
import { SAMPLE_RATE } from "../../decode/sample-format.ts";
import { createWindowRunner } from "../neural/create-window-runner.ts";
import type { WindowPlace } from "../neural/protocol.ts";
import { describeModel } from "../neural/ready-model.ts";
import type { ReadyModelFiles } from "../neural/ready-model.ts";
import { spreadWords } from "../neural/spread-words.ts";
import type {
  TranscribedUtterance,
  TranscriptionEngine,
  UnloadableEngine,
} from "../transcription-engine.ts";
import { TranscriptionRefusal } from "../transcription-refusal.ts";
import { paddedLength } from "./pad-window.ts";
import type { HeardSamples, MoonshineThreadData } from "./protocol.ts";

export interface MoonshineOptions {
  /** Windows that run together at most. */
  maxBatch?: number;
  /** Threads that one run of the model may use on the CPU. */
  threads?: number;
  /** A single run of one of the model's graphs that takes so long is stuck. */
  stallMs?: number;
  /** Told of the size of each batch that is run. */
  onBatch?: ((windows: number) => void) | undefined;
  /** Starts the thread; a test may keep hold of it. */
  startThread?: ((data: MoonshineThreadData) => Worker) | undefined;
}

/** What Moonshine says of an utterance beyond its words. */
export interface MoonshineUtterance extends TranscribedUtterance {
  average_logprob: number;
  /** Text of what is `repetitive` is left out. */
  verdict: HeardSamples["verdict"];
}

export interface MoonshineEngine extends UnloadableEngine {
  transcribe(...args: Parameters<TranscriptionEngine["transcribe"]>): Promise<MoonshineUtterance[]>;
}

/** It learned from recordings of 4 to 30 s. */
const MAX_SAMPLES = 30 * SAMPLE_RATE;
const LANGUAGE = "en";

const start = (data: MoonshineThreadData): Worker =>
  new Worker(new URL("./moonshine-thread.ts", import.meta.url), { workerData: data });

/**
 * Moonshine (Jeffries et al., 2024), by the ONNX files that it is published in, on a thread of its own. It knows English alone,
 * hears samples as they are, and takes the less time the shorter an utterance is. It gives no times: the words of an
 * utterance share those of the utterance.
 *
 * @param ready a model whose files are all here; they are checked when the first utterance comes
 */
export function createMoonshine(
  ready: ReadyModelFiles,
  options: MoonshineOptions = {},
): MoonshineEngine {
  const { entry, files, install } = ready;
  const { maxBatch = 8, threads = 1, stallMs = 600_000, startThread = start, onBatch } = options;
  const runner = createWindowRunner<WindowPlace, HeardSamples>({
    name: "Moonshine",
    model: entry.name,
    install,
    maxSamples: MAX_SAMPLES,
    maxBatch,
    stallMs,
    startThread: () => startThread({ files: [...files.values()], threads }),
    kindOf: ({ samples }) => paddedLength(samples),
    onBatch,
  });

  return {
    quality: "full",
    wordTimes: "estimated",
    // What is joined over a long pause would put words into it.
    utterances: { maxS: 29, joinS: 0.5, padS: 0.25 },
    languages: () => Promise.resolve([LANGUAGE]),
    describe: () => Promise.resolve(describeModel(ready)),
    async transcribe(audio, utterances, { signal, language = LANGUAGE, onUtterance }) {
      signal.throwIfAborted();
      runner.assertOpen();
      if (language !== LANGUAGE) {
        throw new TranscriptionRefusal(
          "language_unsupported",
          `The model ${entry.name} does not know the language ${language}.`,
        );
      }
      if (utterances.length === 0) return [];
      const spoken: MoonshineUtterance[] = [];
      await runner.hear(audio, utterances, {}, signal, (utterance, heard) => {
        const made = toUtterance(utterance, heard);
        spoken.push(made);
        onUtterance?.(made);
      });
      return spoken;
    },
    unload: () => runner.unload(),
    close: () => runner.close(),
  };
}

function toUtterance(
  { start_s, end_s }: SpeechSegment,
  { text, average_logprob, verdict }: HeardSamples,
): MoonshineUtterance {
  return {
    start_s,
    end_s,
    words: spreadWords(text, LANGUAGE, start_s, end_s),
    segments: text === "" ? [] : [{ start_s, end_s, text, average_logprob }],
    language: LANGUAGE,
    average_logprob,
    verdict,
  };
}
