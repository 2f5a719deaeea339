import { Worker } from "node:worker_threads";
import { afterAll, describe, expect, test } from "vitest";
import { createAnalyzer } from "../../../regions/speech/analyze.ts";
import { createDecoder } from "../../../regions/speech/decode/decoder.ts";
import type { AudioBlock } from "../../../regions/speech/decode/decoder.ts";
import { createFeaturesThread } from "../../../regions/speech/features/create-features-thread.ts";
import { createInferenceThread } from "../../../regions/speech/inference/create-inference-thread.ts";
import { samplePath } from "./fixtures.ts";
import { holdTheClock } from "./hold-the-clock.ts";
import { syllables } from "./synthesise.ts";

const features = createFeaturesThread();
afterAll(() => features.close());

const entry = new URL("../../../regions/speech/features/features-thread.ts", import.meta.url);

function shared(samples: Float32Array): AudioBlock {
  const block = new Float32Array(new SharedArrayBuffer(samples.length * 4));
  block.set(samples);
  return block;
}

test("recordings measured at the same time do not touch one another", async () => {
  const measure = async (count: number) => {
    const recording = features.open();
    const samples = syllables(count);
    for (let at = 0; at < samples.length; at += 4000) {
      await recording.push(shared(samples.subarray(at, at + 4000)));
    }
    const { speaking_rate } = await recording.finish();
    expect(recording.computeMs()).toBeGreaterThan(0);
    return speaking_rate.syllables;
  };
  expect(await Promise.all([4, 9, 2, 13].map(measure))).toEqual([4, 9, 2, 13]);
});

test("the thread that asks stays free while a long recording is measured", async () => {
  const recording = features.open();
  const block = shared(syllables(240));
  let done = false;
  const pushing = recording.push(block).finally(() => {
    done = true;
  });
  let turns = 0;
  while (!done) {
    await new Promise((resolve) => setImmediate(resolve));
    turns += 1;
  }
  await pushing;
  // Had the minute been measured on this thread, it would have had no turn at all.
  expect(turns).toBeGreaterThan(50);
  recording.drop();
});

describe("a features thread", () => {
  test("that dies fails the recordings it held with an error worth a retry, and the next one gets another", async () => {
    const threads: Worker[] = [];
    const own = createFeaturesThread({
      startThread: () => {
        const thread = new Worker(entry);
        threads.push(thread);
        return thread;
      },
    });
    try {
      const [first, second] = [own.open(), own.open()];
      await first.push(shared(syllables(2)));
      await second.push(shared(syllables(2)));
      const pending = first.push(shared(syllables(400)));
      void threads[0]?.terminate();
      await expect(pending).rejects.toMatchObject({
        code: "features_thread_died",
        retryable: true,
      });
      const third = own.open();
      await third.push(shared(syllables(3)));
      // A recording of the dead thread must not go on, half heard, on the new one.
      await expect(second.finish()).rejects.toMatchObject({ code: "features_thread_died" });
      expect((await third.finish()).speaking_rate.syllables).toBe(3);
      expect(threads).toHaveLength(2);
    } finally {
      await own.close();
    }
  });

  test("that hangs is replaced", async () => {
    const pass = holdTheClock();
    let spawned = 0;
    const own = createFeaturesThread({
      stallMs: 2000,
      startThread: () => {
        spawned += 1;
        return spawned === 1 ? new Worker("for (;;);", { eval: true }) : new Worker(entry);
      },
    });
    try {
      const stalled = expect(own.open().push(shared(syllables(1)))).rejects.toMatchObject({
        code: "features_stalled",
      });
      await pass(2000);
      await stalled;
      const next = own.open();
      await next.push(shared(syllables(1)));
      expect((await next.finish()).speaking_rate.syllables).toBe(1);
    } finally {
      await own.close();
    }
  });

  test("drops a recording that is aborted and goes on with the others", async () => {
    const stop = new AbortController();
    const dropped = features.open({ signal: stop.signal });
    const kept = features.open();
    const pending = dropped.push(shared(syllables(40)));
    stop.abort(new Error("enough"));
    await expect(pending).rejects.toThrow("enough");
    await expect(dropped.finish()).rejects.toThrow("enough");
    dropped.drop();
    await kept.push(shared(syllables(5)));
    expect((await kept.finish()).speaking_rate.syllables).toBe(5);
  });

  test("refuses work once it is closed, and fails what was pending", async () => {
    const own = createFeaturesThread();
    const recording = own.open();
    const pending = recording.push(shared(syllables(200)));
    const closing = own.close();
    await expect(pending).rejects.toMatchObject({ code: "features_closed" });
    await closing;
    await expect(own.open().finish()).rejects.toMatchObject({ code: "features_closed" });
    recording.drop();
  });
});

test("an analysis whose features thread dies fails as a whole, and the next one succeeds", async () => {
  const threads: Worker[] = [];
  const own = createFeaturesThread({
    startThread: () => {
      const thread = new Worker(entry);
      threads.push(thread);
      return thread;
    },
  });
  const decoder = createDecoder();
  const inference = createInferenceThread();
  const analyzer = createAnalyzer({ decoder, inference, features: own });
  try {
    const failing = analyzer.analyze(samplePath, {
      parts: ["features", "voice_activity"],
      onProgress: () => void threads[0]?.terminate(),
    });
    await expect(failing).rejects.toMatchObject({ code: "features_thread_died", retryable: true });
    const result = await analyzer.analyze(samplePath, { parts: ["features"] });
    expect(result.features).toHaveProperty("set", "eGeMAPSv02");
  } finally {
    await Promise.all([decoder.close(), inference.close(), own.close()]);
  }
});
