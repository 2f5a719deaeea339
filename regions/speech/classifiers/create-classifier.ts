import { open } from "node:fs/promises";
import { join } from "node:path";
import type { Engine, SpeechSegment } from "../../../shared/contracts/analysis-result.ts";
import { createBatcher } from "../batching/create-batcher.ts";
import type { BatchSampling } from "../batching/create-batcher.ts";
import { SAMPLE_RATE } from "../decode/sample-format.ts";
import type { Inference } from "../inference/create-inference-thread.ts";
import type { RuntimeModel } from "../inference/runtime-model.ts";
import type { ClassifierSpec } from "../models/classifier-spec.ts";
import type { SpooledAudio } from "../transcription/transcription-engine.ts";
import type { HeardVoice } from "./heard-voice.ts";
import { planWindows } from "./plan-windows.ts";
import type { SpeechWindow } from "./plan-windows.ts";
import { poolWindows, widthOf } from "./pool-windows.ts";
import type { WindowRows } from "./pool-windows.ts";

export interface HearOptions {
  signal: AbortSignal;
  /** Told of the model's time for each window, its share of the batch. */
  onWindow?: ((inference_ms: number) => void) | undefined;
}

/** Listens to speech and says what kind of voice it is; the port of every engine for emotion, age, sex and speakers. */
export interface VoiceClassifier {
  readonly engine: Engine;
  /** Less speech than this is not judged, seconds. */
  readonly minSpeechS: number;
  /**
   * Hears the speech of a recording. Undefined where there is too little of it.
   * @param speech where speech was heard; nothing else is listened to
   * @throws {InferenceError}; the signal's reason when aborted
   */
  hear(
    audio: SpooledAudio,
    speech: readonly SpeechSegment[],
    options: HearOptions,
  ): Promise<HeardVoice | undefined>;
}

export interface ClassifierOptions {
  inference: Inference;
  model: RuntimeModel;
  spec: ClassifierSpec;
  /** Windows that run together at most; with the length of a window it bounds the memory of a run. */
  maxBatch?: number;
  /** Windows of one recording at most. */
  maxWindows?: number;
  /** Told when a model gave a window something else in a batch than alone. */
  onDeviation?: BatchSampling<Item, Answer>["onDeviation"] | undefined;
  /** Told how many windows each batch has. */
  onBatch?: ((windows: number) => void) | undefined;
}

/** One window with its samples. */
interface Item {
  samples: Float32Array;
}

interface Answer {
  rows: Float32Array[];
  inference_ms: number;
}

/** A whole minute of windows is with the model at a time; the wait of a shorter request behind it is bounded by this. */
const MAX_RUN_MS = 4000;
/** A result of an analysis is not waited for by the millisecond. */
const PATIENCE_MS = 20;
const SAMPLE_EVERY = 50;
/** Figures of a model are of the order of 1; sums in another order differ by less. */
const TOLERANCE = 1e-3;

/**
 * A classifier that is an ONNX model: windows of all recordings share its batches. Windows of one recording are read from the
 * disk as they are heard, a few at a time.
 */
export function createClassifier(options: ClassifierOptions): VoiceClassifier {
  const { inference, model, spec, maxBatch = 4, maxWindows = 64, onDeviation, onBatch } = options;
  const outputs = spec.heads.map((head) => ({ name: head.output, width: widthOf(head) }));
  const batcher = createBatcher<Item, Answer>({
    run,
    paddedSeconds: ({ samples }) => samples.length / SAMPLE_RATE,
    limits: { maxItems: maxBatch, maxRunMs: MAX_RUN_MS },
    sample:
      onDeviation === undefined
        ? undefined
        : { every: SAMPLE_EVERY, tolerance: TOLERANCE, again, onDeviation },
    onBatch: ({ count }) => onBatch?.(count),
  });

  async function run(items: readonly Item[]): Promise<Answer[]> {
    const length = items[0]!.samples.length;
    const samples = new Float32Array(new SharedArrayBuffer(items.length * length * 4));
    for (const [i, item] of items.entries()) samples.set(item.samples, i * length);
    const { rows, inference_ms } = await inference.run("classify", model, {
      samples,
      windows: items.length,
      input: spec.input,
      mask: spec.mask,
      normalize: spec.normalize,
      outputs,
    });
    return items.map((_, i) => ({
      rows: rows.map((all, at) => {
        const { width } = outputs[at]!;
        return all.slice(i * width, (i + 1) * width);
      }),
      inference_ms: inference_ms / items.length,
    }));
  }

  async function again(item: Item, { rows }: Answer): Promise<number> {
    const [alone] = await run([item]);
    let most = 0;
    for (const [at, row] of rows.entries()) {
      for (const [i, value] of row.entries()) {
        most = Math.max(most, Math.abs(value - alone!.rows[at]![i]!));
      }
    }
    return most;
  }

  return {
    engine: { name: model.name, version: model.version, model_sha256: model.sha256 },
    minSpeechS: spec.min_speech_s,
    async hear(audio, speech, { signal, onWindow }) {
      signal.throwIfAborted();
      const windows = planWindows(speech, audio.samples, {
        minSpeechS: spec.min_speech_s,
        windowS: spec.window_s,
        maxWindows,
      });
      if (windows.length === 0) return undefined;
      const heard: WindowRows[] = [];
      const file = await open(join(audio.folder, `${audio.name}.pcm`));
      try {
        for (let at = 0; at < windows.length; at += maxBatch) {
          const some = windows.slice(at, at + maxBatch);
          const items = await Promise.all(
            some.map(async (window) => ({ samples: await readWindow(file, window) })),
          );
          const answers = await Promise.all(
            items.map((item) => batcher.submit(item, { maxWaitMs: PATIENCE_MS, signal })),
          );
          for (const [i, { rows, inference_ms }] of answers.entries()) {
            heard.push({ length: some[i]!.length, rows });
            onWindow?.(inference_ms);
          }
        }
      } finally {
        await file.close();
      }
      const samples = windows.reduce((sum, { length }) => sum + length, 0);
      return {
        speech_s: samples / SAMPLE_RATE,
        windows: windows.length,
        ...poolWindows(spec, heard),
      };
    },
  };
}

async function readWindow(
  file: Awaited<ReturnType<typeof open>>,
  { pieces, length }: SpeechWindow,
): Promise<Float32Array> {
  const samples = new Float32Array(length);
  let at = 0;
  for (const { from, to } of pieces) {
    const bytes = new Int16Array(to - from);
    const { bytesRead } = await file.read(bytes, 0, bytes.byteLength, from * 2);
    if (bytesRead !== bytes.byteLength) throw new TypeError("The recording ended early.");
    for (const sample of bytes) {
      samples[at] = sample / 32_767;
      at += 1;
    }
  }
  return samples;
}
