import { afterAll, describe, expect, test } from "vitest";
import { createBatcher } from "../../../regions/speech/batching/create-batcher.ts";
import type { BatchReport } from "../../../regions/speech/batching/create-batcher.ts";
import { createDecoder } from "../../../regions/speech/decode/decoder.ts";
import { createInferenceThread } from "../../../regions/speech/inference/create-inference-thread.ts";
import type { Inference } from "../../../regions/speech/inference/create-inference-thread.ts";
import { InferenceError } from "../../../regions/speech/inference/inference-error.ts";
import { runtimeModelOf } from "../../../regions/speech/inference/runtime-model.ts";
import { loadManifest } from "../../../regions/speech/models/load-manifest.ts";
import { resolveModel } from "../../../regions/speech/models/resolve-model.ts";
import {
  createVoiceStreams,
  TOLERANCE,
} from "../../../regions/speech/voice-activity/create-voice-streams.ts";
import { emptyState, WINDOW } from "../../../regions/speech/voice-activity/voice-activity-state.ts";
import { decodeAll, samplePath } from "./fixtures.ts";

const found = resolveModel(loadManifest(), "voice_activity");
if (found.status !== "ready") throw new Error(found.reason);
const model = runtimeModelOf(found);
const decoder = createDecoder();
const inference = createInferenceThread();
afterAll(async () => {
  await decoder.close();
  await inference.close();
});
const { samples } = await decodeAll(decoder, samplePath);

/** Speech of a stream of its own: from another place, at another level, with whole windows. */
function speechOf(stream: number, windows: number): Float32Array<SharedArrayBuffer> {
  const own = new Float32Array(new SharedArrayBuffer(windows * WINDOW * 4));
  for (let i = 0; i < own.length; i += 1) {
    own[i] = samples[(i + stream * 3001) % samples.length]! * (0.2 + (stream % 5) * 0.3);
  }
  return own;
}

async function aloneOf(stream: number, windows: number): Promise<Float32Array> {
  const input = { samples: speechOf(stream, windows), state: emptyState() };
  return (await inference.run("voice_activity", model, input)).probabilities;
}

function expectSame(heard: Float32Array, alone: Float32Array): void {
  expect(heard).toHaveLength(alone.length);
  for (const [i, probability] of alone.entries()) {
    expect(Math.abs(heard[i]! - probability)).toBeLessThanOrEqual(TOLERANCE);
  }
}

describe("streams that share calls of the model", () => {
  test("hear the same as alone, whoever else is in the batch and for how long", async () => {
    const batches: BatchReport[] = [];
    const deviations: unknown[] = [];
    const streams = createVoiceStreams({
      inference,
      model,
      sampleEvery: 2,
      onBatch: (batch) => batches.push(batch),
      onDeviation: (deviation) => deviations.push(deviation),
    });
    const count = 40;
    const windowsOf = (stream: number) => 5 + ((stream * 7) % 40);
    const heard = await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const stream = streams.open({ maxWaitMs: 5 });
        const own = speechOf(i, windowsOf(i));
        const probabilities = new Float32Array(windowsOf(i));
        // In pieces of one window, of some, and of more than fit into the stream's memory at once.
        const piece = [1, 3, 40][i % 3]!;
        for (let at = 0; at < probabilities.length; at += piece) {
          await stream.hear(
            own.subarray(at * WINDOW, (at + piece) * WINDOW),
            probabilities.subarray(at, at + piece),
          );
        }
        stream.close();
        return probabilities;
      }),
    );
    for (const [i, probabilities] of heard.entries()) {
      expectSame(probabilities, await aloneOf(i, windowsOf(i)));
    }
    expect(Math.max(...batches.map((batch) => batch.count))).toBeGreaterThan(8);
    expect(deviations).toEqual([]);
  });

  test("keep the order of their windows though many are handed over at once", async () => {
    const streams = createVoiceStreams({ inference, model });
    const heard = await Promise.all(
      [0, 1, 2].map(async (i) => {
        const stream = streams.open({ maxWaitMs: 2 });
        const own = speechOf(i, 12);
        const probabilities = new Float32Array(12);
        const calls = Array.from({ length: 12 }, (_, at) =>
          stream.hear(
            own.subarray(at * WINDOW, (at + 1) * WINDOW),
            probabilities.subarray(at, at + 1),
          ),
        );
        stream.close();
        await Promise.all(calls);
        return probabilities;
      }),
    );
    for (const [i, probabilities] of heard.entries())
      expectSame(probabilities, await aloneOf(i, 12));
  });

  test("start anew in memory that a stream before gave back", async () => {
    const streams = createVoiceStreams({ inference, model });
    for (let i = 0; i < 3; i += 1) {
      const stream = streams.open();
      const probabilities = new Float32Array(6);
      await stream.hear(speechOf(4, 6), probabilities);
      stream.close();
      expectSame(probabilities, await aloneOf(4, 6));
    }
  });

  test("that fail in a batch can be tried again from where they were, and others do not notice", async () => {
    let failures = 0;
    const flaky: Inference = {
      ...inference,
      async run(task, ...rest) {
        const output = await inference.run(task, ...rest);
        // After it has run: what it wrote must not count.
        if (task === "voice_activity_batch" && failures === 0) {
          failures += 1;
          throw new InferenceError("inference_thread_died", "It died.");
        }
        return output;
      },
    };
    const streams = createVoiceStreams({ inference: flaky, model });
    const first = streams.open();
    const probabilities = new Float32Array(8);
    await expect(first.hear(speechOf(1, 8), probabilities)).rejects.toMatchObject({
      code: "inference_thread_died",
      retryable: true,
    });
    const other = streams.open();
    const others = new Float32Array(8);
    await Promise.all([
      first.hear(speechOf(1, 8), probabilities),
      other.hear(speechOf(2, 8), others),
    ]);
    expectSame(probabilities, await aloneOf(1, 8));
    expectSame(others, await aloneOf(2, 8));
  });

  test("are seen to differ when a batch gives something else", async () => {
    const differences: number[] = [];
    const wrong: Inference = {
      ...inference,
      async run(task, model_, input, options) {
        const output = await inference.run(task, model_, input, options);
        if (task === "voice_activity") {
          const { probabilities } = output as { probabilities: Float32Array };
          probabilities[0]! += 0.01;
        }
        return output;
      },
    };
    const reported = Promise.withResolvers<void>();
    const streams = createVoiceStreams({
      inference: wrong,
      model,
      sampleEvery: 1,
      onDeviation: ({ difference }) => {
        differences.push(difference);
        reported.resolve();
      },
    });
    await streams.open().hear(speechOf(3, 2), new Float32Array(2));
    await reported.promise;
    expect(differences[0]).toBeCloseTo(0.01, 4);
  });
});

describe("a batcher", () => {
  interface Call {
    items: readonly string[];
    finish: (error?: Error) => void;
  }

  /** A model whose runs end when the test says so. */
  function createSlowModel() {
    const calls: Call[] = [];
    let called = Promise.withResolvers<void>();
    return {
      calls,
      async next(): Promise<Call> {
        while (calls.length === 0) await called.promise;
        return calls.shift()!;
      },
      run: (items: readonly string[]) =>
        new Promise<string[]>((resolve, reject) => {
          calls.push({
            items,
            finish: (error) =>
              error === undefined
                ? resolve(items.map((item) => item.toUpperCase()))
                : reject(error),
          });
          called.resolve();
          called = Promise.withResolvers();
        }),
    };
  }

  test("lets who comes in the same turn go together, apart by length, and gives each its own result", async () => {
    const slow = createSlowModel();
    const batcher = createBatcher({
      run: slow.run,
      paddedSeconds: (item: string) => item.length,
      limits: { maxRunMs: 1000 },
    });
    const results = Promise.all(["a", "bb", "c", "dd", "e"].map((item) => batcher.submit(item)));
    const first = await slow.next();
    expect(first.items).toEqual(["a", "c", "e"]);
    first.finish();
    const second = await slow.next();
    expect(second.items).toEqual(["bb", "dd"]);
    second.finish();
    expect(await results).toEqual(["A", "BB", "C", "DD", "E"]);
  });

  test("fails the batch that failed and no other", async () => {
    const slow = createSlowModel();
    const batcher = createBatcher({
      run: slow.run,
      paddedSeconds: (item: string) => item.length,
      limits: { maxRunMs: 1000 },
    });
    const [a, bb] = [batcher.submit("a"), batcher.submit("bb")];
    (await slow.next()).finish(new Error("broken"));
    await expect(a).rejects.toThrow("broken");
    (await slow.next()).finish();
    expect(await bb).toBe("BB");
  });

  test("runs items of one key one after the other, also when the one before failed or was taken back", async () => {
    const slow = createSlowModel();
    const batcher = createBatcher({ run: slow.run, paddedSeconds: () => 1 });
    const stop = new AbortController();
    const first = batcher.submit("a", { key: "k" });
    const second = batcher.submit("b", { key: "k", signal: stop.signal });
    const third = batcher.submit("c", { key: "k" });
    const call = await slow.next();
    expect(call.items).toEqual(["a"]);
    stop.abort(new Error("enough"));
    await expect(second).rejects.toThrow("enough");
    call.finish(new Error("broken"));
    await expect(first).rejects.toThrow("broken");
    const last = await slow.next();
    expect(last.items).toEqual(["c"]);
    last.finish();
    expect(await third).toBe("C");
  });

  test("sends the nearest deadline first when all wait for a model that is busy", async () => {
    const slow = createSlowModel();
    const batcher = createBatcher({
      run: slow.run,
      paddedSeconds: () => 1,
      limits: { maxItems: 2, maxInFlight: 1, maxRunMs: 1e9 },
    });
    const now = performance.now();
    const running = batcher.submit("z", { deadline: now });
    const call = await slow.next();
    const rest = ["d", "a", "c", "b"].map((item, i) =>
      batcher.submit(item, { deadline: now + [40_000, 10_000, 30_000, 20_000][i]! }),
    );
    call.finish();
    await running;
    const second = await slow.next();
    expect(second.items).toEqual(["a", "b"]);
    second.finish();
    (await slow.next()).finish();
    expect(await Promise.all(rest)).toEqual(["D", "A", "C", "B"]);
  });
});
