import { Worker } from "node:worker_threads";
import type { ModelFile } from "../models/resolve-model.ts";
import { InferenceError } from "./inference-error.ts";
import type {
  InferenceReply,
  InferenceRequest,
  InferenceTask,
  InferenceTasks,
} from "./protocol.ts";

/** Little that lives briefly is made on the thread; the usual nursery would take tens of megabytes before it is emptied. */
const resourceLimits = { maxYoungGenerationSizeMb: 4 };

export interface InferenceThreadOptions {
  /** A request that is unanswered for so long takes the thread down: it is stuck in native code. */
  stallMs?: number;
  /** Starts the thread; a test may keep hold of it. */
  startThread?: () => Worker;
}

export interface Inference {
  /**
   * Runs one task on the inference thread.
   * @throws {InferenceError}; the signal's reason when aborted
   */
  run<T extends InferenceTask>(
    task: T,
    model: ModelFile,
    input: InferenceTasks[T]["input"],
    options?: { signal?: AbortSignal | undefined },
  ): Promise<InferenceTasks[T]["output"]>;
  close(): Promise<void>;
}

/*
 * onnxruntime 1.30 reports its use to its maker unless told not to by the environment of the whole process, before it is
 * loaded. A platform that answers for where its tenants' data goes does not.
 */
process.env["ORT_DISABLE_TELEMETRY"] = "1";

/** A run takes milliseconds: a thread that has not ended after so long is stuck. */
const CLOSE_MS = 5000;

interface Pending {
  resolve: (output: InferenceTasks[InferenceTask]["output"]) => void;
  reject: (error: unknown) => void;
}

/** One inference thread. It starts with the first request; when it dies its requests fail and the next starts another. */
export function createInferenceThread(options: InferenceThreadOptions = {}): Inference {
  const {
    stallMs = 60_000,
    startThread = () =>
      new Worker(new URL("./inference-thread.ts", import.meta.url), { resourceLimits }),
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
    worker.on("message", (reply: InferenceReply) => {
      const request = pending.get(reply.id);
      if (reply.type === "result") request?.resolve(reply.output);
      else request?.reject(new InferenceError(reply.code, reply.message));
    });
    worker.on("exit", () => {
      if (thread === worker)
        void lose(
          new InferenceError("inference_thread_died", `The inference thread died: ${cause}.`),
        );
    });
    return worker;
  }

  /**
   * Lets the thread end by itself: to end one in the middle of a run makes onnxruntime abort the whole process.
   */
  async function end(worker: Worker): Promise<void> {
    const gone = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
    worker.postMessage({ type: "close" } satisfies InferenceRequest);
    const timer = setTimeout(() => void worker.terminate(), CLOSE_MS);
    await gone;
    clearTimeout(timer);
  }

  function lose(error: InferenceError): Promise<number> | undefined {
    const dead = thread;
    thread = undefined;
    for (const request of pending.values()) request.reject(error);
    return dead?.terminate();
  }

  async function run<T extends InferenceTask>(
    task: T,
    model: ModelFile,
    input: InferenceTasks[T]["input"],
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<InferenceTasks[T]["output"]> {
    if (closed) throw new InferenceError("inference_closed", "The inference thread was closed.");
    signal?.throwIfAborted();
    thread ??= start();
    const worker = thread;
    const id = nextId;
    nextId += 1;
    const abort = () => {
      worker.postMessage({ type: "cancel", id } satisfies InferenceRequest);
      pending.get(id)?.reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      if (thread === worker)
        void lose(new InferenceError("inference_stalled", `No answer in ${stallMs} ms.`));
    }, stallMs);
    try {
      return (await new Promise((resolve, reject) => {
        pending.set(id, { resolve, reject });
        signal?.addEventListener("abort", abort, { once: true });
        worker.postMessage({ type: "run", id, task, model, input } as InferenceRequest);
      })) as InferenceTasks[T]["output"];
    } finally {
      pending.delete(id);
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  return {
    run,
    async close() {
      closed = true;
      const last = thread;
      thread = undefined;
      const error = new InferenceError("inference_closed", "The inference thread was closed.");
      for (const request of pending.values()) request.reject(error);
      if (last !== undefined) await end(last);
    },
  };
}
