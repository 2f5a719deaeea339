import { createHash } from "node:crypto";
import { readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClassifier } from "../../../regions/speech/classifiers/create-classifier.ts";
import type { ClassifierOptions } from "../../../regions/speech/classifiers/create-classifier.ts";
import { planWindows } from "../../../regions/speech/classifiers/plan-windows.ts";
import { poolWindows } from "../../../regions/speech/classifiers/pool-windows.ts";
import { createInference } from "../../../regions/speech/inference/create-inference.ts";
import type { Inference } from "../../../regions/speech/inference/create-inference-thread.ts";
import { runtimeModelOf } from "../../../regions/speech/inference/runtime-model.ts";
import type { ClassifierSpec } from "../../../regions/speech/models/classifier-spec.ts";
import type { ModelManifest } from "../../../regions/speech/models/load-manifest.ts";
import type { ModelEntry } from "../../../regions/speech/models/model-entry.ts";
import { resolveModel } from "../../../regions/speech/models/resolve-model.ts";
import { describeClassifier } from "./classifier-conformance.ts";
import { makeFolder } from "./fixtures.ts";
import {
  ageSexModel,
  emotionModel,
  expected,
  install,
  labels,
  outsideModel,
  sexes,
  speakerModel,
  spooled,
  twoSines,
} from "./tiny-classifiers.ts";

const models = [emotionModel, ageSexModel, speakerModel, outsideModel];
let folder: Awaited<ReturnType<typeof makeFolder>>;
let inference: Inference;
let manifest: ModelManifest;
beforeAll(async () => {
  folder = await makeFolder();
  inference = createInference();
  manifest = await install(models, folder.path("models"));
});
afterAll(async () => {
  await inference.close();
  await folder.remove();
});

function classifierOf(entry: ModelEntry, options: Partial<ClassifierOptions> = {}) {
  const found = resolveModel(manifest, entry.task, { name: entry.name });
  if (found.status !== "ready") throw new Error(found.reason);
  return createClassifier({
    inference,
    model: runtimeModelOf(found),
    spec: entry.classifier!,
    ...options,
  });
}
const signal = () => AbortSignal.timeout(20_000);
const named = (names: readonly string[], values: readonly number[]) =>
  Object.fromEntries(names.map((name, i) => [name, expect.closeTo(values[i]!, 4) as number]));

describe.each([
  ["emotion", emotionModel],
  ["age and sex", ageSexModel],
  ["speakers", speakerModel],
])("the engine for %s", (name, entry) => {
  describeClassifier(name, () => ({ classifier: classifierOf(entry), folder: folder.path(".") }));
});

describe.each(expected.recordings)(
  "a recording of $seconds s gives what the reference gives:",
  (wanted) => {
    const hear = async (entry: ModelEntry) => {
      const audio = await spooled(twoSines(wanted.seconds, wanted.hertz), folder.path("."));
      return classifierOf(entry).hear(audio, wanted.speech, { signal: signal() });
    };
    const { speech_s, windows } = wanted;

    test("emotion, in dimensions and in labels", async () => {
      expect(await hear(emotionModel)).toEqual({
        speech_s,
        windows,
        emotion_dimensions: named(["arousal", "dominance", "valence"], wanted.dimensions),
        emotion_labels: {
          label: labels[wanted.labels.indexOf(Math.max(...wanted.labels))],
          probabilities: named(labels, wanted.labels),
        },
      });
    });

    test.each([
      ["one file", ageSexModel],
      ["a graph with weights beside it", outsideModel],
    ])("age and sex, from %s", async (_, entry) => {
      expect(await hear(entry)).toEqual({
        speech_s,
        windows,
        age: {
          years: expect.closeTo(wanted.years, 3) as number,
          spread_years: expect.closeTo(wanted.spread_years, 3) as number,
        },
        sex: {
          label: sexes[wanted.sex.indexOf(Math.max(...wanted.sex))],
          probabilities: named(sexes, wanted.sex),
        },
      });
    });

    test("the speaker, as a direction", async () => {
      const heard = await hear(speakerModel);
      expect([...heard!.speaker_embedding!]).toEqual(
        wanted.embedding.map((value) => expect.closeTo(value, 4) as number),
      );
    });
  },
);

test("windows of several recordings share batches, no larger than is allowed", async () => {
  const batches: number[] = [];
  const classifier = classifierOf(ageSexModel, {
    maxBatch: 3,
    onBatch: (count) => batches.push(count),
  });
  const audio = await spooled(twoSines(6, 200), folder.path("."));
  const speech = [{ start_s: 0, end_s: 6 }];
  await Promise.all([1, 2, 3, 4].map(() => classifier.hear(audio, speech, { signal: signal() })));
  expect(batches.reduce((sum, count) => sum + count)).toBe(12);
  expect(Math.max(...batches)).toBeLessThanOrEqual(3);
  expect(batches.length).toBeLessThan(12);
});

test("a very long recording is heard in so many windows and no more, all over it", async () => {
  const times: number[] = [];
  const classifier = classifierOf(ageSexModel, { maxWindows: 5 });
  const audio = await spooled(twoSines(60, 200), folder.path("."));
  const heard = await classifier.hear(audio, [{ start_s: 0, end_s: 60 }], {
    signal: signal(),
    onWindow: (ms) => times.push(ms),
  });
  expect(heard).toMatchObject({ windows: 5, speech_s: 10 });
  expect(times).toHaveLength(5);
});

describe("a model that is not what its manifest says", () => {
  const fault = async (
    entry: ModelEntry,
    options: Partial<ClassifierOptions> = {},
    damage: () => Promise<void> = async () => undefined,
  ) => {
    const own = createInference({ budgetMb: 100 });
    try {
      const audio = await spooled(twoSines(3, 200), folder.path("."));
      const classifier = classifierOf(entry, { inference: own, ...options });
      await damage();
      return await classifier.hear(audio, [{ start_s: 0, end_s: 3 }], { signal: signal() }).then(
        () => "no fault",
        (error: unknown) => error,
      );
    } finally {
      await own.close();
    }
  };
  const spec = ageSexModel.classifier!;

  test.each([
    ["another input", { ...spec, input: "audio" }, /inputs signal instead of audio/],
    [
      "an output that it does not have",
      { ...spec, heads: [{ gives: "age" as const, output: "years", years: 1 }] },
      /outputs age, sex and no years/,
    ],
    [
      "more labels than it gives",
      {
        ...spec,
        heads: [
          {
            gives: "sex" as const,
            output: "sex",
            labels: ["a", "b", "c", "d"],
            activation: "none" as const,
          },
        ],
      },
      /sex came as float32 \[1, 3\], not float32 \[1, 4\]/,
    ],
    [
      "probabilities where it gives none",
      {
        ...spec,
        heads: [
          { gives: "sex" as const, output: "age", labels: ["a", "b"], activation: "none" as const },
        ],
      },
      /age came as float32 \[1, 1\], not float32 \[1, 2\]/,
    ],
  ])("by %s is refused for good, in words", async (_, wrong, message) => {
    expect(await fault(ageSexModel, { spec: wrong })).toMatchObject({
      code: "model_mismatch",
      retryable: false,
      message: expect.stringMatching(message) as string,
    });
  });

  test("by the hash of the weights beside it, or without them, is refused", async () => {
    const data = join(folder.path("models"), "tiny-outside@1", "outside.onnx_data");
    expect(await fault(outsideModel, {}, () => truncate(data, 1000))).toMatchObject({
      code: "model_hash_mismatch",
      message: expect.stringContaining("outside.onnx_data of the model tiny-outside") as string,
    });
    manifest = await install(models, folder.path("models"));
    expect(await fault(outsideModel, {}, () => rm(data))).toMatchObject({
      code: "model_unreadable",
    });
    manifest = await install(models, folder.path("models"));
  });

  test("by a size beyond the budget is refused", async () => {
    const found = resolveModel(manifest, "age_sex");
    if (found.status !== "ready") throw new Error(found.reason);
    const model = { ...runtimeModelOf(found), memory_mb: 101 };
    expect(await fault(ageSexModel, { model })).toMatchObject({ code: "model_too_large" });
  });
});

describe("graphs of one model", () => {
  test("have their share of its memory, weights beside them included, and load apart", async () => {
    const entry: ModelEntry = {
      ...outsideModel,
      name: "tiny-two",
      files: [...outsideModel.files, ...ageSexModel.files],
      memory_mb: 100,
    };
    const two = await install([entry], folder.path("two"));
    const found = resolveModel(two, "age_sex");
    if (found.status !== "ready") throw new Error(found.reason);
    const graphs = ["outside.onnx", "age-sex.onnx"].map((path) => runtimeModelOf(found, path));
    expect(graphs.map(({ outside }) => outside?.length)).toEqual([1, undefined]);
    const [first, second] = graphs.map(({ memory_mb }) => memory_mb!);
    expect(first! + second!).toBeCloseTo(100, 6);
    expect(first!).toBeGreaterThan(50);
    const audio = await spooled(twoSines(3, 200), folder.path("."));
    const heard = await Promise.all(
      graphs.map((model) =>
        createClassifier({ inference, model, spec: entry.classifier! }).hear(
          audio,
          [{ start_s: 0, end_s: 3 }],
          { signal: signal() },
        ),
      ),
    );
    expect(heard[0]).toEqual(heard[1]);
    expect(() => runtimeModelOf(found, "none.onnx")).toThrow("tiny-two has no none.onnx");
  });
});

test("one graph with other weights beside it is another model", async () => {
  const into = folder.path("other");
  await install([outsideModel], into);
  const data = join(into, "tiny-outside@1", "outside.onnx_data");
  const weights = await readFile(data);
  // The sign of every figure; four bytes each.
  for (let at = 3; at < weights.length; at += 4) weights[at]! ^= 0x80;
  await writeFile(data, weights);
  const [graph, beside] = outsideModel.files;
  const other: ModelEntry = {
    ...outsideModel,
    files: [graph!, { ...beside!, sha256: createHash("sha256").update(weights).digest("hex") }],
  };
  const found = resolveModel({ models: [other], folder: into }, "age_sex");
  if (found.status !== "ready") throw new Error(found.reason);
  const audio = await spooled(twoSines(3, 200), folder.path("."));
  const hear = (classifier: ReturnType<typeof classifierOf>) =>
    classifier.hear(audio, [{ start_s: 0, end_s: 3 }], { signal: signal() });
  const first = await hear(classifierOf(outsideModel));
  const second = await hear(classifierOf(outsideModel, { model: runtimeModelOf(found) }));
  expect(second!.age!.years).not.toBeCloseTo(first!.age!.years, 2);
});

describe("windows", () => {
  const options = { minSpeechS: 1, windowS: 4, maxWindows: 10 };

  test("lie in speech alone, in order, of one length but for the last", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.double({ min: 0, max: 3, noNaN: true }),
            fc.double({ min: 0, max: 9, noNaN: true }),
          ),
          {
            maxLength: 12,
          },
        ),
        (steps) => {
          let at = 0;
          const speech = steps.map(([gap, length]) => {
            const start_s = at + gap;
            at = start_s + length;
            return { start_s, end_s: at };
          });
          const samples = Math.round(at * 16_000);
          const windows = planWindows(speech, samples, options);
          const total = speech.reduce((sum, { start_s, end_s }) => sum + end_s - start_s, 0);
          expect(windows.length).toBeLessThanOrEqual(10);
          if (total >= 1.01) expect(windows.length).toBeGreaterThan(0);
          if (total < 0.99) expect(windows).toEqual([]);
          for (const [i, { pieces, length }] of windows.entries()) {
            expect(length).toBeLessThanOrEqual(64_000);
            if (i < windows.length - 1) expect(length).toBe(64_000);
            expect(pieces.reduce((sum, { from, to }) => sum + to - from, 0)).toBe(length);
            for (const { from, to } of pieces) {
              expect(to).toBeGreaterThan(from);
              const inside = speech.some(
                ({ start_s, end_s }) =>
                  from >= Math.round(start_s * 16_000) && to <= Math.round(end_s * 16_000),
              );
              expect(inside).toBe(true);
            }
          }
        },
      ),
    );
  });

  test("of overlapping segments and of those beyond the end hear every sample once", () => {
    const windows = planWindows(
      [
        { start_s: 2, end_s: 4 },
        { start_s: 0, end_s: 3 },
        { start_s: 4, end_s: 9 },
      ],
      16_000 * 5,
      { ...options, windowS: 8 },
    );
    expect(windows).toEqual([
      {
        pieces: [
          { from: 0, to: 48_000 },
          { from: 48_000, to: 64_000 },
          { from: 64_000, to: 80_000 },
        ],
        length: 80_000,
      },
    ]);
  });
});

describe("pooling", () => {
  const rows = (...values: number[][]) => values.map((value) => Float32Array.from(value));

  test("counts a window by its length", () => {
    const heard = poolWindows(ageSexModel.classifier!, [
      { length: 3, rows: rows([0.2], [1, 0, 0]) },
      { length: 1, rows: rows([0.6], [0, 1, 0]) },
    ]);
    expect(heard.age!.years).toBeCloseTo(30, 4);
    expect(heard.age!.spread_years).toBeCloseTo(Math.sqrt(300), 4);
    expect(heard.sex).toMatchObject({
      label: "female",
      probabilities: { female: 0.75, male: 0.25, child: 0 },
    });
  });

  test("of speakers goes by direction, however far a window's figures reach", () => {
    const [head] = speakerModel.classifier!.heads;
    const spec = { ...speakerModel.classifier!, heads: [{ ...head!, size: 2 }] } as ClassifierSpec;
    const { speaker_embedding } = poolWindows(spec, [
      { length: 1, rows: rows([100, 0]) },
      { length: 1, rows: rows([0, 1]) },
    ]);
    expect([...speaker_embedding!]).toEqual([
      expect.closeTo(Math.SQRT1_2, 5),
      expect.closeTo(Math.SQRT1_2, 5),
    ]);
  });

  test("keeps scales within their ends, and takes no figure that is none", () => {
    const { heads } = emotionModel.classifier!;
    const [dimensions] = heads;
    const spec = { ...emotionModel.classifier!, heads: [dimensions!] };
    expect(poolWindows(spec, [{ length: 1, rows: rows([1.2, 0.5, -0.1]) }])).toEqual({
      emotion_dimensions: { arousal: 1, dominance: 0, valence: -1 },
    });
    expect(() => poolWindows(spec, [{ length: 1, rows: rows([Number.NaN, 0, 0]) }])).toThrow(
      "The model's dims is no number.",
    );
  });

  test("takes figures that add up to anything but 1 for no probabilities", () => {
    const spec = ageSexModel.classifier!;
    expect(() => poolWindows(spec, [{ length: 1, rows: rows([0.3], [0.9, 0.9, 0]) }])).toThrow(
      "does not give probabilities",
    );
  });
});
