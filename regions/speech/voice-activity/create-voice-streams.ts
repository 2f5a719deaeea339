import { createBatcher } from "../batching/create-batcher.ts";
import type { BatcherOptions, BatchReport } from "../batching/create-batcher.ts";
import { SAMPLE_RATE } from "../decode/sample-format.ts";
import type { Inference } from "../inference/create-inference-thread.ts";
import type { RuntimeModel } from "../inference/runtime-model.ts";
import { RECURRENT, WINDOW } from "./voice-activity-state.ts";
import { createVoiceSlots, ITEM, PROBABILITIES, ROOM, STATE, WINDOWS } from "./voice-slots.ts";
import type { VoiceSlot } from "./voice-slots.ts";

export interface VoiceStreamsOptions {
  inference: Inference;
  model: RuntimeModel;
  limits?: BatcherOptions<VoiceItem, VoiceShare>["limits"];
  /** One stream of every so many batches is run again alone; 0 for none. */
  sampleEvery?: number;
  onBatch?: ((batch: BatchReport) => void) | undefined;
  /** Called when a stream got something else in a batch than alone (`difference` beyond `TOLERANCE`, NaN where that could not be told). */
  onDeviation?: ((deviation: { difference: number; count: number }) => void) | undefined;
}

export interface VoiceStreamOptions {
  /** How long after it was handed over a window is due, milliseconds. */
  deadlineMs?: number;
  /** How long it may wait for windows of other streams. */
  maxWaitMs?: number;
  signal?: AbortSignal | undefined;
}

export interface VoiceStream {
  /**
   * Hears the next windows of the stream, in the order of the calls. Both arrays belong to the stream until it resolves.
   * @param windows 16 kHz mono, a whole number of 512-sample windows
   * @param probabilities where the probability of speech in each window is written
   * @returns milliseconds inside the model, this stream's share of them
   * @throws {InferenceError} the stream stays where it was, so the same windows can be tried again; the signal's reason when aborted
   */
  hear(windows: Float32Array, probabilities: Float32Array): Promise<number>;
  /** Gives its memory to others. */
  close(): void;
}

export interface VoiceStreams {
  open(options?: VoiceStreamOptions): VoiceStream;
}

/** Largest difference of a probability or state between a batch and alone; on x86 they are the same to the last bit. */
export const TOLERANCE = 1e-4;

interface VoiceItem {
  place: VoiceSlot;
  /** Which of the two states is the last. */
  last: number;
  windows: number;
}
type VoiceShare = number;

/** All streams of voice activity of a process: whoever has windows at the same time shares calls of the model. */
export function createVoiceStreams(options: VoiceStreamsOptions): VoiceStreams {
  const { inference, model, limits, onBatch, onDeviation, sampleEvery = 1000 } = options;
  const slots = createVoiceSlots();
  const batcher = createBatcher<VoiceItem, VoiceShare>({
    run,
    paddedSeconds: ({ windows }) => (paddedWindows(windows) * WINDOW) / SAMPLE_RATE,
    limits: { maxItems: 128, ...limits },
    onBatch,
    sample:
      sampleEvery === 0
        ? undefined
        : {
            every: sampleEvery,
            tolerance: TOLERANCE,
            again,
            onDeviation: (deviation) => onDeviation?.(deviation),
          },
  });

  async function run(batch: readonly VoiceItem[]) {
    const memory: SharedArrayBuffer[] = [];
    const items = new Int32Array(batch.length * ITEM);
    for (const [i, { place, windows, last }] of batch.entries()) {
      let index = memory.indexOf(place.page);
      if (index === -1) index = memory.push(place.page) - 1;
      items.set([index, place.slot, windows, last], i * ITEM);
    }
    const { inference_ms } = await inference.run(
      "voice_activity_batch",
      model,
      { items },
      { memory },
    );
    const share = inference_ms / batch.length;
    return batch.map(() => share);
  }

  /** By the path that knows of no batches and no slots. */
  async function again({ place, last, windows }: VoiceItem): Promise<number> {
    const { floats, at } = place;
    const from = at + last * STATE;
    const to = at + (1 - last) * STATE;
    const samples = new Float32Array(new SharedArrayBuffer(windows * WINDOW * 4));
    samples.set(floats.subarray(at + WINDOWS, at + WINDOWS + windows * WINDOW));
    const state = {
      recurrent: Float32Array.from(floats.subarray(from, from + RECURRENT)),
      context: Float32Array.from(floats.subarray(from + RECURRENT, from + STATE)),
    };
    const recurrent = Float32Array.from(floats.subarray(to, to + RECURRENT));
    const context = Float32Array.from(floats.subarray(to + RECURRENT, to + STATE));
    const heard = Float32Array.from(
      floats.subarray(at + PROBABILITIES, at + PROBABILITIES + windows),
    );
    const alone = await inference.run("voice_activity", model, { samples, state });
    return Math.max(
      largestDifference(alone.probabilities, heard),
      largestDifference(alone.state.recurrent, recurrent),
      largestDifference(alone.state.context, context),
    );
  }

  function open({ deadlineMs = 1000, maxWaitMs = 0, signal }: VoiceStreamOptions = {}) {
    let place = slots.take();
    let last = 0;
    let closed = false;
    let calls = 0;
    let before: Promise<unknown> = Promise.resolve();
    const key = {};

    async function hearSome(
      windows: Float32Array,
      probabilities: Float32Array,
      deadline: number,
    ): Promise<number> {
      const { floats, at } = place;
      floats.set(windows, at + WINDOWS);
      const count = windows.length / WINDOW;
      try {
        const ms = await batcher.submit(
          { place, last, windows: count },
          { key, deadline, maxWaitMs },
        );
        probabilities.set(floats.subarray(at + PROBABILITIES, at + PROBABILITIES + count));
        last = 1 - last;
        return ms;
      } catch (error) {
        // A thread that was given up may still write to the slot, so nobody else may have it: it is left behind.
        place = slots.take();
        place.floats.set(floats.subarray(at + last * STATE, at + (last + 1) * STATE), place.at);
        last = 0;
        throw error;
      }
    }

    async function hearAll(
      windows: Float32Array,
      probabilities: Float32Array,
      deadline: number,
    ): Promise<number> {
      let ms = 0;
      for (let at = 0; at < windows.length; at += ROOM * WINDOW) {
        signal?.throwIfAborted();
        const some = windows.subarray(at, at + ROOM * WINDOW);
        ms += await hearSome(some, probabilities.subarray(at / WINDOW), deadline);
      }
      return ms;
    }

    function leave(): void {
      if (closed && calls === 0) slots.giveBack(place);
    }

    return {
      hear(windows: Float32Array, probabilities: Float32Array): Promise<number> {
        if (windows.length % WINDOW !== 0) throw new RangeError(`Windows have ${WINDOW} samples.`);
        if (closed) throw new TypeError("The stream was closed.");
        const deadline = performance.now() + deadlineMs;
        calls += 1;
        const heard = (
          calls === 1
            ? hearAll(windows, probabilities, deadline)
            : before.then(() => hearAll(windows, probabilities, deadline))
        ).finally(() => {
          calls -= 1;
          leave();
        });
        before = heard.catch(() => {});
        return heard;
      },
      close(): void {
        if (closed) return;
        closed = true;
        leave();
      },
    };
  }

  return { open };
}

/** Lengths share a batch by powers of two, so that a short one seldom waits for long ones. */
function paddedWindows(windows: number): number {
  return 2 ** Math.ceil(Math.log2(windows));
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  let largest = 0;
  for (let i = 0; i < a.length; i += 1) {
    const difference = Math.abs(a[i]! - b[i]!);
    // Not a number is as different as can be.
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}
