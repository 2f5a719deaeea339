import { Worker } from "node:worker_threads";
import type { SpeechSegment } from "../../../shared/contracts/analysis-result.ts";
import type { AudioBlock } from "../decode/decoder.ts";
import type { VoiceMeasures } from "../measure-voice.ts";
import { FeaturesError } from "./features-error.ts";
import type { FeaturesReply, FeaturesRequest } from "./protocol.ts";

/** Little that lives briefly is made on the thread; the usual nursery would take tens of megabytes before it is emptied. */
const resourceLimits = { maxYoungGenerationSizeMb: 4 };

export interface FeaturesThreadOptions {
  /** A thread that leaves a request unanswered for so long is taken down, with all that it held. */
  stallMs?: number;
  /** Starts the thread; a test may keep hold of it. */
  startThread?: () => Worker;
}

/** One recording on the features thread; one call at a time. */
export interface FeaturesRecording {
  /** Resolves once the thread has worked the block in, so that a caller that waits never runs far ahead of it. */
  push(block: AudioBlock): Promise<void>;
  finish(speech?: readonly SpeechSegment[]): Promise<VoiceMeasures>;
  /** Lets go of a recording that is not to be finished; harmless after `finish`. */
  drop(): void;
  /** Computing time until `finish`. */
  computeMs(): number;
}

export interface FeaturesThread {
  /**
   * Opens a recording. Its calls throw {@link FeaturesError}, or the signal's reason when aborted.
   */
  open(options?: { signal?: AbortSignal | undefined }): FeaturesRecording;
  close(): Promise<void>;
}

interface Pending {
  resolve: (reply: FeaturesReply) => void;
  reject: (error: unknown) => void;
}

/** One thread for all recordings. It starts with the first; when it dies theirs fail, and the next starts another. */
export function createFeaturesThread(options: FeaturesThreadOptions = {}): FeaturesThread {
  const {
    stallMs = 60_000,
    startThread = () =>
      new Worker(new URL("./features-thread.ts", import.meta.url), { resourceLimits }),
  } = options;
  const pending = new Map<number, Pending>();
  let thread: Worker | undefined;
  let nextId = 1;
  let closed = false;

  function start(): Worker {
    const worker = startThread();
    let cause = "it ended";
    worker.on("error", (error) => {
      cause = error instanceof Error ? error.message : String(error);
    });
    worker.on("message", (reply: FeaturesReply) => {
      const request = pending.get(reply.id);
      if (reply.type === "failed") {
        request?.reject(new FeaturesError("features_failed", reply.message));
      } else request?.resolve(reply);
    });
    worker.on("exit", () => {
      if (thread === worker)
        void lose(new FeaturesError("features_thread_died", `The features thread died: ${cause}.`));
    });
    return worker;
  }

  function lose(error: FeaturesError): Promise<number> | undefined {
    const dead = thread;
    thread = undefined;
    for (const request of pending.values()) request.reject(error);
    return dead?.terminate();
  }

  function open({ signal }: { signal?: AbortSignal | undefined } = {}): FeaturesRecording {
    const id = nextId;
    nextId += 1;
    // A recording lives on the thread that heard its first block, and ends with it.
    let home: Worker | undefined;
    let compute_ms = 0;

    async function ask(request: FeaturesRequest): Promise<FeaturesReply> {
      if (closed) throw new FeaturesError("features_closed", "The features thread was closed.");
      signal?.throwIfAborted();
      if (home !== undefined && home !== thread) {
        throw new FeaturesError("features_thread_died", "The thread that held the recording died.");
      }
      thread ??= start();
      home = thread;
      const worker = home;
      const abort = () => pending.get(id)?.reject(signal?.reason);
      const timer = setTimeout(() => {
        if (thread === worker)
          void lose(new FeaturesError("features_stalled", `No answer in ${stallMs} ms.`));
      }, stallMs);
      try {
        return await new Promise((resolve, reject) => {
          pending.set(id, { resolve, reject });
          signal?.addEventListener("abort", abort, { once: true });
          worker.postMessage(request);
        });
      } finally {
        pending.delete(id);
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
      }
    }

    return {
      async push(samples) {
        await ask({ type: "push", id, samples });
      },
      async finish(speech) {
        const reply = await ask({ type: "finish", id, speech });
        if (reply.type !== "measured") throw new TypeError("The features thread lost its place.");
        compute_ms = reply.compute_ms;
        return reply.measures;
      },
      drop() {
        if (home !== undefined && home === thread) {
          home.postMessage({ type: "drop", id } satisfies FeaturesRequest);
        }
      },
      computeMs: () => compute_ms,
    };
  }

  return {
    open,
    async close() {
      closed = true;
      await lose(new FeaturesError("features_closed", "The features thread was closed."));
    },
  };
}
