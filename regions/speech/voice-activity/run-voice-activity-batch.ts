import type { InferenceSession } from "onnxruntime-node";
import type { InferenceTasks } from "../inference/protocol.ts";
import { callModel, FRAME } from "./call-model.ts";
import { CONTEXT, RECURRENT, WINDOW } from "./voice-activity-state.ts";
import { ITEM, PROBABILITIES, SLOT, STATE, WINDOWS } from "./voice-slots.ts";

type Task = InferenceTasks["voice_activity_batch"];

const HALF = RECURRENT / 2;

interface Item {
  floats: Float32Array;
  at: number;
  windows: number;
  from: number;
  to: number;
}

/**
 * Most streams in one call: more save nothing and no longer fit into a core's own cache. A batch may have more, which saves
 * messages between threads.
 */
const CALL = 64;

/**
 * Runs the silero model over the windows of many streams: the first window of each in one call, then the second ones, and so
 * on; streams that have no more drop out. Reads one state of each slot and writes the other.
 */
export function createVoiceBatch() {
  /** Input [streams, 64 + 512] and state [2, streams, 128] of a call, kept for the next. */
  let input = new Float32Array(0);
  let first = new Float32Array(0);

  return async function runVoiceBatch(
    session: InferenceSession,
    task: Task["input"],
    memory: readonly Float32Array<SharedArrayBuffer>[],
  ): Promise<Task["output"]> {
    const items = readItems(task.items, memory);
    const start = performance.now();
    for (let at = 0; at < items.length; at += CALL) {
      await runCalls(session, items.slice(at, at + CALL));
    }
    return { inference_ms: performance.now() - start };
  };

  async function runCalls(session: InferenceSession, items: readonly Item[]): Promise<void> {
    let count = items.length;
    if (input.length < count * FRAME) {
      input = new Float32Array(count * FRAME);
      first = new Float32Array(count * RECURRENT);
    }
    for (const [i, { floats, from }] of items.entries()) {
      first.set(floats.subarray(from, from + HALF), i * HALF);
      first.set(floats.subarray(from + HALF, from + RECURRENT), (count + i) * HALF);
      // Where the end of the window before would be.
      input.set(floats.subarray(from + RECURRENT, from + STATE), i * FRAME + WINDOW);
    }
    let recurrent = first.subarray(0, count * RECURRENT);
    for (let step = 0; count > 0; step += 1) {
      for (let i = 0; i < count; i += 1) {
        const { floats, at } = items[i]!;
        const window = at + WINDOWS + step * WINDOW;
        input.copyWithin(i * FRAME, i * FRAME + WINDOW, (i + 1) * FRAME);
        input.set(floats.subarray(window, window + WINDOW), i * FRAME + CONTEXT);
      }
      const heard = await callModel(session, count, input.subarray(0, count * FRAME), recurrent);
      recurrent = heard.recurrent;
      for (let i = 0; i < count; i += 1) {
        const { floats, at } = items[i]!;
        floats[at + PROBABILITIES + step] = heard.probabilities[i]!;
      }
      const remaining = countLonger(items, count, step + 1);
      for (let i = remaining; i < count; i += 1) {
        const { floats, to } = items[i]!;
        floats.set(recurrent.subarray(i * HALF, (i + 1) * HALF), to);
        floats.set(recurrent.subarray((count + i) * HALF, (count + i + 1) * HALF), to + HALF);
        floats.set(input.subarray(i * FRAME + WINDOW, (i + 1) * FRAME), to + RECURRENT);
      }
      if (remaining < count) {
        recurrent.copyWithin(remaining * HALF, count * HALF, (count + remaining) * HALF);
        recurrent = recurrent.subarray(0, remaining * RECURRENT);
        count = remaining;
      }
    }
  }
}

/** Longest first, so that those which have windows left are always the first of them. */
function readItems(items: Int32Array, memory: readonly Float32Array<SharedArrayBuffer>[]): Item[] {
  return Array.from({ length: items.length / ITEM }, (_, i): Item => {
    const [index, slot, windows, last] = items.subarray(i * ITEM, (i + 1) * ITEM) as unknown as [
      number,
      number,
      number,
      number,
    ];
    const at = slot * SLOT;
    const from = at + last * STATE;
    return { floats: memory[index]!, at, windows, from, to: at + (1 - last) * STATE };
  }).toSorted((a, b) => b.windows - a.windows);
}

function countLonger(items: readonly Item[], count: number, windows: number): number {
  let longer = count;
  while (longer > 0 && items[longer - 1]!.windows <= windows) longer -= 1;
  return longer;
}
