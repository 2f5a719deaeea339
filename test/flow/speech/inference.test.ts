import { Worker } from "node:worker_threads";
import { copyFile, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createInference } from "../../../regions/speech/inference/create-inference.ts";
import { createInferenceThread } from "../../../regions/speech/inference/create-inference-thread.ts";
import { runtimeModelOf } from "../../../regions/speech/inference/runtime-model.ts";
import type { RuntimeModel } from "../../../regions/speech/inference/runtime-model.ts";
import { loadManifest } from "../../../regions/speech/models/load-manifest.ts";
import { resolveModel } from "../../../regions/speech/models/resolve-model.ts";
import { emptyState } from "../../../regions/speech/voice-activity/voice-activity-state.ts";
import { holdTheClock } from "./hold-the-clock.ts";

const entry = new URL("../../../regions/speech/inference/inference-thread.ts", import.meta.url);
const found = resolveModel(loadManifest(), "voice_activity");
if (found.status !== "ready") throw new Error(found.reason);
const model = runtimeModelOf(found);
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "antiphon-inference-"));
});
afterAll(() => rm(folder, { recursive: true }));

const input = () => ({
  samples: new Float32Array(new SharedArrayBuffer(512 * 4)),
  state: emptyState(),
});

/** The same model under another hash: bytes after the end of a graph do not change it. */
async function variant(name: string, memory_mb: number): Promise<RuntimeModel> {
  const path = join(folder, `${name}.onnx`);
  // A field that no reader knows: number 200, a string of one byte.
  const bytes = Buffer.concat([
    readFileSync(model.path),
    Buffer.from([0xc2, 0x0c, 1, name.charCodeAt(0)]),
  ]);
  await writeFile(path, bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { ...model, name, path, sha256, memory_mb };
}

describe("models within a budget of memory", () => {
  test("make room for one another, the least recently used first, and come back when asked for", async () => {
    const [a, b, c] = await Promise.all([variant("a", 40), variant("b", 40), variant("c", 40)]);
    const unloaded: string[] = [];
    const inference = createInference({ budgetMb: 100, onUnload: (name) => unloaded.push(name) });
    try {
      await inference.run("voice_activity", a, input());
      await inference.run("voice_activity", b, input());
      await inference.run("voice_activity", a, input());
      expect(unloaded).toEqual([]);
      await inference.run("voice_activity", c, input());
      expect(unloaded).toEqual(["b"]);
      await inference.run("voice_activity", b, input());
      expect(unloaded).toEqual(["b", "a"]);
    } finally {
      await inference.close();
    }
  });

  test("are all served though fewer fit than are wanted at once", async () => {
    const models = await Promise.all(["d", "e", "f"].map((name) => variant(name, 60)));
    const inference = createInference({ budgetMb: 100 });
    try {
      const outputs = await Promise.all(
        Array.from({ length: 9 }, (_, i) =>
          inference.run("voice_activity", models[i % 3]!, input()),
        ),
      );
      for (const { probabilities } of outputs) expect(probabilities).toHaveLength(1);
    } finally {
      await inference.close();
    }
  });

  test("are refused when they would not fit alone, with their size and the budget", async () => {
    const inference = createInference({ budgetMb: 100 });
    try {
      const huge = { ...model, memory_mb: 3000 };
      await expect(inference.run("voice_activity", huge, input())).rejects.toMatchObject({
        code: "model_too_large",
        retryable: false,
        message: expect.stringMatching(/silero-vad takes 3000 MB.* 100 MB/),
      });
      expect(await inference.run("voice_activity", model, input())).toHaveProperty("probabilities");
    } finally {
      await inference.close();
    }
  });

  test("do not share a thread: one whose thread hangs does not hold up another", async () => {
    const other = await variant("g", 10);
    const pass = holdTheClock();
    let spawned = 0;
    const inference = createInference({
      stallMs: 4000,
      startThread: () => {
        spawned += 1;
        return spawned === 1 ? new Worker("for (;;);", { eval: true }) : new Worker(entry);
      },
    });
    try {
      const stuck = inference.run("voice_activity", model, input());
      const stalled = expect(stuck).rejects.toMatchObject({
        code: "inference_stalled",
        retryable: true,
      });
      // The stuck one's patience does not end before the other has its answer.
      expect(await inference.run("voice_activity", other, input())).toHaveProperty("probabilities");
      await pass(4000);
      await stalled;
    } finally {
      await inference.close();
    }
  });
});

describe("a model file", () => {
  // A thread checks a model when it loads it, so each test has its own.
  let inference = createInferenceThread();
  beforeEach(() => {
    inference = createInferenceThread();
  });
  afterEach(() => inference.close());

  test("with other inputs than the manifest says is refused when it is loaded, and both are named", async () => {
    const cases: [Partial<RuntimeModel>, RegExp][] = [
      [{ inputs: { audio: { type: "float32", shape: ["n"] } } }, /inputs input, state, sr .*audio/],
      [
        { inputs: { ...model.inputs, sr: { type: "int32", shape: [] } } },
        /input sr is int64 instead of int32/,
      ],
      [
        { inputs: { ...model.inputs, state: { type: "float32", shape: [2, "batch", 64] } } },
        /state has the shape \[2, .*128\] instead of \[2, batch, 64\]/,
      ],
      [
        { inputs: { ...model.inputs, input: { type: "float32", shape: [576] } } },
        /input has the shape .* instead of \[576\]/,
      ],
      [{ outputs: { output: { type: "float32", shape: ["batch", 1] } } }, /outputs output, stateN/],
    ];
    for (const [said, message] of cases) {
      const wrong = { ...model, ...said };
      await expect(inference.run("voice_activity", wrong, input())).rejects.toMatchObject({
        code: "model_mismatch",
        retryable: false,
        message: expect.stringMatching(message),
      });
    }
    expect(await inference.run("voice_activity", model, input())).toHaveProperty("probabilities");
  });

  test("that was cut short is refused, also where the manifest has the hash of what is left", async () => {
    const path = join(folder, "short.onnx");
    await copyFile(model.path, path);
    await truncate(path, 100_000);
    const short = { ...model, path };
    await expect(inference.run("voice_activity", short, input())).rejects.toMatchObject({
      code: "model_hash_mismatch",
    });
    const sha256 = createHash("sha256").update(readFileSync(path)).digest("hex");
    await expect(
      inference.run("voice_activity", { ...short, sha256 }, input()),
    ).rejects.toMatchObject({ code: "model_unreadable", retryable: false });
  });
});

test("a thread that dies fails the request that it was at, and those behind it are done by the next", async () => {
  const dying = `require("node:worker_threads").parentPort.on("message", () => process.exit(1))`;
  let spawned = 0;
  const inference = createInferenceThread({
    startThread: () => {
      spawned += 1;
      return spawned === 1 ? new Worker(dying, { eval: true }) : new Worker(entry);
    },
  });
  try {
    const requests = [1, 2, 3].map(() => inference.run("voice_activity", model, input()));
    const outcomes = await Promise.allSettled(requests);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled"]);
    expect(outcomes[0]).toMatchObject({
      reason: { code: "inference_thread_died", retryable: true },
    });
    expect(spawned).toBe(2);
  } finally {
    await inference.close();
  }
});
