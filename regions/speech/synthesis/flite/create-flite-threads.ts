import { Worker } from "node:worker_threads";
import { createSlots } from "../../decode/create-slots.ts";
import { SynthesisError } from "../synthesis-error.ts";
import { loadFliteModule } from "./load-flite-module.ts";
import type { FliteReply, FliteRequest, FliteResult, FliteThreadData } from "./protocol.ts";
import type { WasmModule } from "./web-assembly.ts";

export interface FliteThreadsOptions {
  /** Threads at most, which is how many runs go on at once; further ones wait in order. */
  threads?: number;
  /** A run that takes so long is stuck, and its thread is ended. */
  stallMs?: number;
  /** A thread is replaced after so many runs: each leaves an instance of 17 MB to the collector. */
  runsPerThread?: number;
  /** Path of flite.wasm; absent: the installed package's. */
  modulePath?: string | undefined;
  /** Starts a thread; a test may start another. */
  startThread?: (data: FliteThreadData) => Worker;
  /** Told of each run when it begins. */
  onRun?: (request: FliteRequest) => void;
}

/** Runs of flite in threads. */
export interface FliteThreads {
  /**
   * Aborting ends the thread, and so the work.
   * @throws {SynthesisError}; the signal's reason when aborted
   */
  run<T extends FliteRequest["type"]>(
    request: FliteRequest & { type: T },
    signal?: AbortSignal,
  ): Promise<FliteResult[T]>;
  /** Ends what runs; that fails with `synthesis_closed`. */
  close(): Promise<void>;
}

const startFliteThread = (data: FliteThreadData) =>
  new Worker(new URL("./flite-thread.ts", import.meta.url), {
    workerData: data,
    resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 },
  });

interface Thread {
  worker: Worker;
  runs: number;
}

/** flite (CMU), in WebAssembly, in threads that start when needed and are shared by all who have something to run. */
export function createFliteThreads(options: FliteThreadsOptions = {}): FliteThreads {
  const {
    threads: maxThreads = 2,
    stallMs = 30_000,
    runsPerThread = 200,
    startThread = startFliteThread,
    onRun,
  } = options;
  const slots = createSlots(maxThreads);
  const idle: Thread[] = [];
  const live = new Set<Worker>();
  const closing = new AbortController();
  let loading: Promise<WasmModule> | undefined;

  function load(): Promise<WasmModule> {
    loading ??= loadFliteModule(options.modulePath).catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    return loading;
  }

  function start(module: WasmModule): Thread {
    const worker = startThread({ module });
    // An idle thread keeps no process alive.
    worker.unref();
    live.add(worker);
    worker.on("error", () => undefined);
    worker.once("exit", () => {
      live.delete(worker);
      const at = idle.findIndex((thread) => thread.worker === worker);
      if (at >= 0) idle.splice(at, 1);
    });
    return { worker, runs: 0 };
  }

  /** One run on one thread. The thread is dead after any end but an answer. */
  async function runOn(thread: Thread, request: FliteRequest, signal: AbortSignal) {
    const { worker } = thread;
    thread.runs += 1;
    worker.ref();
    let timer: NodeJS.Timeout | undefined;
    const cleanup = new AbortController();
    try {
      return await new Promise<FliteReply>((resolve, reject) => {
        const on = { signal: cleanup.signal };
        const listen = (name: string, listener: (value: unknown) => void) => {
          worker.on(name, listener);
          on.signal.addEventListener("abort", () => worker.off(name, listener));
        };
        listen("message", (reply) => resolve(reply as FliteReply));
        listen("error", (error) =>
          reject(
            new SynthesisError("synthesis_crashed", `The flite thread died: ${String(error)}`),
          ),
        );
        listen("exit", () =>
          reject(new SynthesisError("synthesis_crashed", "The flite thread ended.")),
        );
        signal.addEventListener("abort", () => reject(signal.reason as Error), on);
        timer = setTimeout(
          () => reject(new SynthesisError("synthesis_stalled", `No sound in ${stallMs} ms.`)),
          stallMs,
        );
        worker.postMessage(request);
      });
    } catch (error) {
      await worker.terminate();
      throw error;
    } finally {
      clearTimeout(timer);
      cleanup.abort();
      worker.unref();
    }
  }

  async function runOnce(
    request: FliteRequest,
    signal: AbortSignal,
  ): Promise<FliteReply & { result: unknown }> {
    const release = await slots.acquire(signal);
    try {
      const module = await load();
      signal.throwIfAborted();
      const thread = idle.pop() ?? start(module);
      onRun?.(request);
      const reply = await runOn(thread, request, signal);
      if (thread.runs < runsPerThread && !closing.signal.aborted) idle.push(thread);
      else await thread.worker.terminate();
      if ("failed" in reply) throw new SynthesisError("synthesis_crashed", reply.failed);
      return reply;
    } finally {
      release();
    }
  }

  return {
    async run<T extends FliteRequest["type"]>(
      request: FliteRequest & { type: T },
      signal?: AbortSignal,
    ) {
      const stop = signal ? AbortSignal.any([signal, closing.signal]) : closing.signal;
      try {
        const reply = await runOnce(request, stop).catch((error: unknown) => {
          // A thread that died by accident gets one more chance; one that hung would only hang again.
          if (!(error instanceof SynthesisError) || error.code !== "synthesis_crashed") throw error;
          return runOnce(request, stop);
        });
        return reply.result as FliteResult[T];
      } catch (error) {
        if (closing.signal.aborted) {
          throw new SynthesisError("synthesis_closed", "The engine was closed.");
        }
        throw error;
      }
    },
    async close() {
      closing.abort();
      await Promise.all([...live].map((worker) => worker.terminate()));
    },
  };
}
