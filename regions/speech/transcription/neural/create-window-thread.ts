import type { Worker } from "node:worker_threads";
import { TranscriberError } from "../transcriber-error.ts";
import { ModelFaultError } from "./model-fault.ts";
import type { WindowPlace, WindowReply, WindowRequest, WindowsHeard } from "./protocol.ts";

/*
 * onnxruntime 1.30 reports its use to its maker unless told not to by the environment of the whole process, before it is
 * loaded. A platform that answers for where its tenants' data goes does not.
 */
process.env["ORT_DISABLE_TELEMETRY"] = "1";

/** A token takes well under a second; a thread that has not ended after so long is stuck. */
const CLOSE_MS = 30_000;

export interface WindowThread<Window, Heard> {
  /**
   * Runs one batch; the next one is to wait for it.
   * @throws {ModelFaultError} the model is at fault
   * @throws {TranscriberError} the thread died or hung
   */
  run(windows: Window[]): Promise<WindowsHeard<Heard>>;
  /** Lets a window of the batch go; the batch ends without it, and `onLeft` is told when it is not worked at any more. */
  cancel(id: number): void;
  /** Ends the thread, and its batch with `transcriber_closed`; another batch would start another. */
  close(): Promise<void>;
}

export interface WindowThreadOptions {
  /** Of the engine, for messages. */
  name: string;
  /** A thread that tells of no step for so long is stuck in native code, and is given up. */
  stallMs: number;
  onLeft: (id: number) => void;
  /** Starts the thread, whose port `serveWindows` serves. */
  startThread: () => Worker;
}

/** One thread with a model; it starts with the first batch, and again after it died. */
export function createWindowThread<Window extends WindowPlace, Heard>({
  name,
  stallMs,
  onLeft,
  startThread,
}: WindowThreadOptions): WindowThread<Window, Heard> {
  let worker: Worker | undefined;
  let running: ((error: TranscriberError) => void) | undefined;

  function open(): Worker {
    const own = startThread();
    worker = own;
    own.on("error", () => undefined);
    own.once("exit", () => {
      if (worker === own) worker = undefined;
    });
    return own;
  }

  function send(to: Worker, request: WindowRequest<Window>): void {
    to.postMessage(request);
  }

  return {
    async run(windows) {
      const own = worker ?? open();
      own.ref();
      const { promise, resolve, reject } =
        Promise.withResolvers<Exclude<WindowReply<Heard>, { type: "left" | "step" }>>();
      const onMessage = (reply: WindowReply<Heard>) => {
        stall.refresh();
        if (reply.type === "step") return;
        if (reply.type === "left") onLeft(reply.id);
        else resolve(reply);
      };
      let cause = "it ended";
      const onError = (error: unknown) => {
        cause = error instanceof Error ? error.message : String(error);
      };
      const onExit = () =>
        reject(new TranscriberError("transcriber_crashed", `The ${name} thread died: ${cause}.`));
      own.on("message", onMessage);
      own.on("error", onError);
      own.on("exit", onExit);
      running = reject;
      const stall = setTimeout(() => {
        if (worker === own) worker = undefined;
        reject(new TranscriberError("transcriber_stalled", `No answer in ${stallMs} ms.`));
        // It ends by itself if it ever comes back: to end it in the middle of a run makes onnxruntime abort the process.
        send(own, { type: "close" });
      }, stallMs);
      try {
        send(own, { type: "run", windows });
        const reply = await promise;
        if (reply.type === "heard") return reply;
        throw reply.fault === undefined
          ? new TranscriberError("transcriber_crashed", `${name} failed: ${reply.message}`)
          : new ModelFaultError(reply.fault, reply.message);
      } finally {
        clearTimeout(stall);
        running = undefined;
        own.off("message", onMessage);
        own.off("error", onError);
        own.off("exit", onExit);
        // A thread without work keeps no process alive.
        own.unref();
      }
    },
    cancel(id) {
      if (worker !== undefined) send(worker, { type: "cancel", id });
    },
    async close() {
      const own = worker;
      worker = undefined;
      running?.(new TranscriberError("transcriber_closed", `${name} was closed.`));
      if (own === undefined) return;
      const gone = new Promise<void>((resolve) => own.once("exit", () => resolve()));
      own.ref();
      // To end a thread in the middle of a run makes onnxruntime abort the whole process.
      send(own, { type: "close" });
      const timer = setTimeout(() => void own.terminate(), CLOSE_MS);
      await gone;
      clearTimeout(timer);
    },
  };
}
