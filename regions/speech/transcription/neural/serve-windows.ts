import { open } from "node:fs/promises";
import type { MessagePort } from "node:worker_threads";
import { ModelFaultError } from "./model-fault.ts";
import type { WindowPlace, WindowReply, WindowRequest } from "./protocol.ts";

/** A window whose samples are in memory. */
export interface ReadWindow<Window> {
  window: Window;
  /** At 16 kHz; fewer than the window has where the file ends before. */
  samples: Float32Array;
  /** Once it is aborted the window is of no interest any more. */
  signal: AbortSignal;
}

/** What a thread does with windows. */
export interface WindowWork<Window, Heard, Model> {
  /** Called once, and again after it failed: a file that is not there may be installed by the next time. */
  load(): Promise<Model>;
  /** How many windows of a batch may be in memory together. */
  rowsAtOnce(model: Model, batch: readonly Window[]): number;
  /**
   * Answers for windows, in any order, without those that were aborted.
   * @param step to be called after each run of a graph: a thread that is silent for long is given up
   */
  hear(model: Model, windows: readonly ReadWindow<Window>[], step: () => void): Promise<Heard[]>;
}

/** Serves a thread's port: batches of windows one after the other, each window of which may be cancelled. */
export function serveWindows<Window extends WindowPlace, Heard, Model>(
  port: MessagePort,
  work: WindowWork<Window, Heard, Model>,
): void {
  const cancels = new Map<number, AbortController>();
  let loading: Promise<Model> | undefined;
  let last: Promise<void> = Promise.resolve();
  const send = (reply: WindowReply<Heard>): void => port.postMessage(reply);

  function load(): Promise<Model> {
    loading ??= work.load();
    loading.catch(() => (loading = undefined));
    return loading;
  }

  async function run(windows: readonly Window[]): Promise<WindowReply<Heard>> {
    const model = await load();
    const heard: Heard[] = [];
    const unread: { id: number; message: string }[] = [];
    const most = work.rowsAtOnce(model, windows);
    for (let at = 0; at < windows.length; at += most) {
      const readable: ReadWindow<Window>[] = [];
      for (const window of windows.slice(at, at + most)) {
        const { signal } = cancels.get(window.id)!;
        if (signal.aborted) continue;
        try {
          readable.push({ window, samples: await readSamples(window), signal });
        } catch (error) {
          unread.push({ id: window.id, message: messageOf(error) });
        }
      }
      if (readable.length === 0) continue;
      heard.push(...(await work.hear(model, readable, () => send({ type: "step" }))));
    }
    return { type: "heard", windows: heard, unread };
  }

  async function answer(windows: readonly Window[]): Promise<WindowReply<Heard>> {
    try {
      return await run(windows);
    } catch (error) {
      const fault = error instanceof ModelFaultError ? error.fault : undefined;
      return { type: "failed", fault, message: messageOf(error) };
    }
  }

  port.on("message", (request: WindowRequest<Window>) => {
    switch (request.type) {
      case "close":
        for (const cancel of cancels.values()) cancel.abort();
        void last.then(() => port.close());
        return;
      case "cancel":
        cancels.get(request.id)?.abort();
        send({ type: "left", id: request.id });
        return;
      case "run":
        for (const { id } of request.windows) cancels.set(id, new AbortController());
        last = last.then(async () => {
          const reply = await answer(request.windows);
          for (const { id } of request.windows) cancels.delete(id);
          send(reply);
        });
    }
  });
}

async function readSamples({ path, from, samples }: WindowPlace): Promise<Float32Array> {
  const file = await open(path);
  try {
    const bytes = new Int16Array(samples);
    const { bytesRead } = await file.read(bytes, 0, samples * 2, from * 2);
    return Float32Array.from(bytes.subarray(0, bytesRead / 2), (sample) => sample / 32767);
  } finally {
    await file.close();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
