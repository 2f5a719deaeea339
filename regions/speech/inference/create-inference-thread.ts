import { Worker } from "node:worker_threads";
import { InferenceError } from "./inference-error.ts";
import type {
  InferenceReply,
  InferenceRequest,
  InferenceTask,
  InferenceTasks,
  InferenceThreadData,
} from "./protocol.ts";
import type { RuntimeModel } from "./runtime-model.ts";

/** Little that lives briefly is made on the thread; the usual nursery would take tens of megabytes before it is emptied. */
const resourceLimits = { maxYoungGenerationSizeMb: 4 };

export interface InferenceThreadOptions {
  /** A thread that has work and gives no answer for so long is stuck in native code and is replaced. */
  stallMs?: number;
  /** Threads that one run of a model may use on the CPU. */
  threads?: number;
  /** Never a GPU, even where there is one. */
  cpuOnly?: boolean;
  /** Starts the thread; a test may keep hold of it. */
  startThread?: () => Worker;
}

export interface RunOptions {
  signal?: AbortSignal | undefined;
  /** Shared memory that the task works in; each thread is given each buffer once. */
  memory?: readonly SharedArrayBuffer[];
}

export interface Inference {
  /**
   * Runs one task on an inference thread; tasks of one model in the order in which they came.
   * @throws {InferenceError}; the signal's reason when aborted
   */
  run<T extends InferenceTask>(
    task: T,
    model: RuntimeModel,
    input: InferenceTasks[T]["input"],
    options?: RunOptions,
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
  request: Omit<InferenceRequest & { type: "run" }, "memory">;
  memory: readonly SharedArrayBuffer[];
  resolve: (output: InferenceTasks[InferenceTask]["output"]) => void;
  reject: (error: unknown) => void;
}

interface Thread {
  worker: Worker;
  /** What it was given, and under which id. */
  memory: Map<SharedArrayBuffer, number>;
}

/**
 * One inference thread. It starts with the first request. When it dies or hangs, the request that it was at fails and those
 * behind it go to the thread that is started in its place.
 */
export function createInferenceThread(options: InferenceThreadOptions = {}): Inference {
  const {
    stallMs = 60_000,
    threads = 1,
    cpuOnly = false,
    startThread = () =>
      new Worker(new URL("./inference-thread.ts", import.meta.url), {
        resourceLimits,
        workerData: { threads, cpuOnly } satisfies InferenceThreadData,
      }),
  } = options;
  /** In the order in which the thread takes them. */
  const pending = new Map<number, Pending>();
  let thread: Thread | undefined;
  let stall: NodeJS.Timeout | undefined;
  let nextId = 1;
  let closed = false;

  function start(): Thread {
    const worker = startThread();
    const own: Thread = { worker, memory: new Map() };
    let cause = "it ended";
    worker.on("error", (error) => {
      cause = error instanceof Error ? error.message : String(error);
    });
    worker.on("message", (reply: InferenceReply) => {
      // A thread that was given up may still answer; what it was at has failed by then.
      if (thread !== own) return;
      const request = pending.get(reply.id);
      pending.delete(reply.id);
      watch();
      if (reply.type === "result") request?.resolve(reply.output);
      else request?.reject(new InferenceError(reply.code, reply.message));
    });
    worker.on("exit", () => {
      if (thread === own) {
        lose(new InferenceError("inference_thread_died", `The inference thread died: ${cause}.`));
      }
    });
    return own;
  }

  /** Gives the thread its time anew; to be called when it takes up work or answers. */
  function watch(): void {
    clearTimeout(stall);
    if (pending.size === 0) return;
    stall = setTimeout(() => {
      const worker = thread?.worker;
      lose(new InferenceError("inference_stalled", `No answer in ${stallMs} ms.`));
      void worker?.terminate();
    }, stallMs);
  }

  function post({ request, memory }: Pending): void {
    thread ??= start();
    const { worker, memory: given } = thread;
    const ids = memory.map((buffer) => {
      let id = given.get(buffer);
      if (id === undefined) {
        id = given.size;
        given.set(buffer, id);
        worker.postMessage({ type: "memory", id, buffer } satisfies InferenceRequest);
      }
      return id;
    });
    worker.postMessage({ ...request, memory: ids });
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

  /** It takes requests in their order, so only the first can have been its undoing. */
  function lose(error: InferenceError): void {
    thread = undefined;
    const [first] = pending;
    if (first !== undefined) {
      pending.delete(first[0]);
      first[1].reject(error);
    }
    for (const request of pending.values()) post(request);
    watch();
  }

  async function run<T extends InferenceTask>(
    task: T,
    model: RuntimeModel,
    input: InferenceTasks[T]["input"],
    { signal, memory = [] }: RunOptions = {},
  ): Promise<InferenceTasks[T]["output"]> {
    if (closed) throw new InferenceError("inference_closed", "The inference thread was closed.");
    signal?.throwIfAborted();
    const id = nextId;
    nextId += 1;
    const { promise, resolve, reject } =
      Promise.withResolvers<InferenceTasks[InferenceTask]["output"]>();
    const request = { type: "run", id, task, model, input } as Pending["request"];
    const own: Pending = { request, memory, resolve, reject };
    pending.set(id, own);
    post(own);
    if (pending.size === 1) watch();
    const abort = () => {
      thread?.worker.postMessage({ type: "cancel", id } satisfies InferenceRequest);
      pending.delete(id);
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return (await promise) as InferenceTasks[T]["output"];
    } finally {
      signal?.removeEventListener("abort", abort);
      if (pending.size === 0) clearTimeout(stall);
    }
  }

  return {
    run,
    async close() {
      closed = true;
      const last = thread;
      thread = undefined;
      clearTimeout(stall);
      const error = new InferenceError("inference_closed", "The inference thread was closed.");
      for (const request of pending.values()) request.reject(error);
      pending.clear();
      if (last !== undefined) await end(last.worker);
    },
  };
}
