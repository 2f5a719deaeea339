import type { Worker } from "node:worker_threads";
import type { SpeechSegment } from "../../../../shared/contracts/analysis-result.ts";
import { TranscriberError } from "../transcriber-error.ts";
import type { SpooledAudio } from "../transcription-engine.ts";
import { createWindowThread } from "./create-window-thread.ts";
import { ModelFaultError } from "./model-fault.ts";
import { placeWindow } from "./place-window.ts";
import type { WindowPlace } from "./protocol.ts";

export interface WindowRunnerOptions<Window extends WindowPlace> {
  /** Of the engine, for messages. */
  name: string;
  /** Of the model, for messages. */
  model: string;
  /** The command that installs the model again. */
  install: string | undefined;
  /** Samples that the engine hears at once. */
  maxSamples: number;
  /** Windows that run together at most. */
  maxBatch: number;
  /** A single run of one of the model's graphs that takes so long is stuck. */
  stallMs: number;
  /** Starts the thread, whose port `serveWindows` serves. */
  startThread: () => Worker;
  /** Only windows of which this is the same run together; all do when absent. */
  kindOf?: ((window: Window) => number) | undefined;
  /** Told of the size of each batch that is run. */
  onBatch?: ((windows: number) => void) | undefined;
}

/** What an utterance is asked for with, beside its place. */
type Asked<Window extends WindowPlace> = Omit<Window, keyof WindowPlace>;

export interface WindowRunner<Window extends WindowPlace, Heard> {
  /**
   * What is heard in each utterance of a recording, in order.
   * @param tell told of each as it is done, in order
   * @throws as `transcribe` of the engine's port
   */
  hear(
    audio: SpooledAudio,
    utterances: readonly SpeechSegment[],
    asked: Asked<Window>,
    signal: AbortSignal,
    tell: (utterance: SpeechSegment, heard: Heard) => void,
  ): Promise<void>;
  /** Begins no more. @throws {TranscriberError} it was closed */
  assertOpen(): void;
  /** A fault of the model's files, with its name and what mends it; another error as it is. */
  told(error: unknown): unknown;
  /** Gives the model's memory back, while nothing is heard; it is loaded again when something is. */
  unload(): Promise<void>;
  /** Ends what runs, with `transcriber_closed`. */
  close(): Promise<void>;
}

/** Times that an utterance is tried when the thread dies over it. */
const TRIES = 2;

interface Item<Window, Heard> {
  window: Window;
  tries: number;
  resolve(heard: Heard | undefined): void;
  reject(error: unknown): void;
}

/**
 * Runs utterances on one thread with one model. Those of all recordings that are heard at the same time share batches, in
 * turns: a long recording does not keep the others waiting.
 */
export function createWindowRunner<Window extends WindowPlace, Heard extends { id: number }>(
  options: WindowRunnerOptions<Window>,
): WindowRunner<Window, Heard> {
  const { name, model, install, maxSamples, maxBatch, stallMs, startThread } = options;
  const { kindOf = () => 0, onBatch } = options;
  type OwnItem = Item<Window, Heard>;
  const thread = createWindowThread<Window, Heard>({
    name,
    stallMs,
    startThread,
    onLeft: (id) => inBatch.get(id)?.resolve(undefined),
  });
  /** What the thread is at, by the windows' ids. */
  let inBatch = new Map<number, OwnItem>();
  /** What waits, by recording; the one whose turn it is comes first. */
  let queues: OwnItem[][] = [];
  const alone: OwnItem[] = [];
  let busy = false;
  let closed = false;
  let nextId = 1;

  /**
   * One of each recording in turn, of the kind of the very first. What a thread died over is tried by itself, so that it takes
   * no other with it again.
   */
  function takeBatch(): OwnItem[] {
    const single = alone.shift();
    if (single !== undefined) return [single];
    let waiting = queues.filter((queue) => queue.length > 0);
    const first = waiting[0]?.[0];
    const batch: OwnItem[] = [];
    /** Recordings that have none of the kind: their turn is still to come. */
    const skipped: OwnItem[][] = [];
    while (first !== undefined && batch.length < maxBatch) {
      const [queue, ...others] = waiting;
      if (queue === undefined) break;
      const at = queue.findIndex(({ window }) => kindOf(window) === kindOf(first.window));
      if (at < 0) {
        skipped.push(queue);
        waiting = others;
      } else {
        batch.push(...queue.splice(at, 1));
        waiting = [...others, queue];
      }
    }
    queues = [...skipped, ...waiting];
    return batch;
  }

  function told(error: unknown): unknown {
    if (!(error instanceof ModelFaultError)) return error;
    const mend = install === undefined ? "" : ` To install it again: ${install}`;
    return new ModelFaultError(error.fault, `${model}: ${error.message}${mend}`);
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

  function assertOpen(): void {
    if (closed) throw new TranscriberError("transcriber_closed", `${name} was closed.`);
  }

  return {
    assertOpen,
    told,
    async hear(audio, utterances, asked, signal, tell) {
      assertOpen();
      signal.throwIfAborted();
      const queue: OwnItem[] = [];
      const heard = utterances.map((utterance) => {
        const { promise, resolve, reject } = Promise.withResolvers<Heard | undefined>();
        const place = placeWindow(utterance, audio, { name, maxSamples });
        const window = { ...asked, id: nextId, ...place } as unknown as Window;
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
      try {
        for (const [i, utterance] of utterances.entries()) {
          const window = await heard[i]!;
          signal.throwIfAborted();
          if (window === undefined) throw new TypeError("A window was left out.");
          tell(utterance, window);
        }
      } catch (error) {
        if (!signal.aborted) leave(error);
        // Nothing runs on: what is in a batch answers when it has left it.
        await Promise.allSettled(heard);
        signal.throwIfAborted();
        throw error;
      } finally {
        signal.removeEventListener("abort", abort);
      }
    },
    unload: () => thread.close(),
    async close() {
      closed = true;
      const error = new TranscriberError("transcriber_closed", `${name} was closed.`);
      for (const { reject } of [...queues.flat(), ...alone]) reject(error);
      queues = [];
      alone.length = 0;
      await thread.close();
    },
  };
}
