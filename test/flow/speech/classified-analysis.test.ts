import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Age, ClassifiedEmotion, Emotion, Sex } from "../../../shared/contracts/analysis-result.ts";
import type { Job } from "../../../shared/contracts/api.ts";
import { createAnalyzer } from "../../../regions/speech/analyze.ts";
import { createDecoder } from "../../../regions/speech/decode/decoder.ts";
import { createFeaturesThread } from "../../../regions/speech/features/create-features-thread.ts";
import { createInference } from "../../../regions/speech/inference/create-inference.ts";
import type { Inference } from "../../../regions/speech/inference/create-inference-thread.ts";
import { InferenceError } from "../../../regions/speech/inference/inference-error.ts";
import { loadManifest } from "../../../regions/speech/models/load-manifest.ts";
import type { ModelEntry } from "../../../regions/speech/models/model-entry.ts";
import { renderJob } from "../../../scripts/cli/render-job.ts";
import { fixturePath, makeFolder, samplePath } from "./fixtures.ts";
import { ageSexModel, emotionModel, expected, install } from "./tiny-classifiers.ts";

const decoder = createDecoder();
const features = createFeaturesThread();
const inference = createInference();
let folder: Awaited<ReturnType<typeof makeFolder>>;
let at = 0;
beforeAll(async () => {
  folder = await makeFolder();
});
afterAll(async () => {
  await Promise.all([decoder, inference, features].map((part) => part.close()));
  await folder.remove();
});

const silero = loadManifest().models.filter(({ task }) => task === "voice_activity");
const parts = ["emotion", "age", "sex"] as const;

/** An analyzer with these models beside that of voice activity, in a folder of their own. */
async function start(
  models: readonly ModelEntry[],
  installed = models,
  own: Inference = inference,
) {
  const into = folder.path(`models-${++at}`);
  await install(installed, into);
  const scratch = folder.path(`scratch-${at}`);
  await mkdir(scratch);
  const manifest = { models: [...silero, ...models], folder: into };
  return {
    into,
    scratch,
    analyzer: createAnalyzer({
      decoder,
      features,
      inference: own,
      manifest,
      folder: scratch,
    }),
  };
}

describe("an analysis with models of the voice", () => {
  test("says what they hear, beside the rule's arousal, and names and times them", async () => {
    const { analyzer, scratch } = await start([emotionModel, ageSexModel]);
    const result = await analyzer.analyze(samplePath, { parts });
    const emotion = Emotion.parse(result.emotion);
    expect(emotion.method).toContain("rule-based");
    const classified = ClassifiedEmotion.parse(emotion.classified);
    expect(Object.keys(classified.dimensions!).toSorted()).toEqual([
      "arousal",
      "dominance",
      "valence",
    ]);
    expect(classified.probabilities).toHaveProperty(classified.label!);
    const age = Age.parse(result.age);
    expect(age.years).toBeGreaterThan(0);
    const sex = Sex.parse(result.sex);
    const shares = Object.values(sex.probabilities);
    expect(shares.reduce((sum, share) => sum + share)).toBeCloseTo(1, 5);
    expect(sex.probabilities[sex.label]).toBe(Math.max(...shares));
    expect(age.speech_s).toBe(classified.speech_s);

    const tiny = (file: string, name: string) => ({
      name,
      version: "1",
      model_sha256: expected.files[file]!.sha256,
    });
    expect(result.engines).toMatchObject({
      emotion: { name: "antiphon-arousal-rules" },
      emotion_classifier: tiny("emotion.onnx", "tiny-emotion"),
      age: tiny("age-sex.onnx", "tiny-age-sex"),
      sex: tiny("age-sex.onnx", "tiny-age-sex"),
      voice_activity: { name: "silero-vad" },
    });
    expect(result.timings_ms["classify"]).toBeGreaterThan(0);
    // Nothing of the recording stays on the disk.
    expect(await readdir(scratch)).toEqual([]);
  });

  test("gives what was made before again without asking them", async () => {
    const { analyzer } = await start([emotionModel, ageSexModel]);
    const first = await analyzer.analyze(samplePath, { parts });
    const never: Inference = { ...inference, run: () => Promise.reject(new Error("asked")) };
    const again = await start([emotionModel, ageSexModel], undefined, never);
    const second = await again.analyzer.analyze(samplePath, { parts, known: first.made });
    for (const part of parts) expect(second[part]).toEqual(first[part]);
    const [plan, other] = await Promise.all([
      again.analyzer.plan({ parts }),
      (await start([emotionModel])).analyzer.plan({ parts }),
    ]);
    expect(plan.identities.age).toContain(expected.files["age-sex.onnx"]!.sha256);
    expect(plan.identities.emotion).toContain("emotion_dimensions");
    expect(other.identities.age).toBeUndefined();
  });

  test("without them says so, with the command that brings them; the rule's arousal stays", async () => {
    const { analyzer } = await start([emotionModel, ageSexModel], []);
    const result = await analyzer.analyze(samplePath, { parts });
    const missing = (name: string) => ({
      status: "unavailable",
      reason: `The model ${name} is not installed.`,
      install: `npm run models -- pull ${name}`,
    });
    expect(result.age).toEqual(missing("tiny-age-sex"));
    expect(result.sex).toEqual(missing("tiny-age-sex"));
    expect(Emotion.parse(result.emotion)).toMatchObject({
      arousal: expect.any(Number) as number,
      classified: missing("tiny-emotion"),
    });
    expect(result.timings_ms).not.toHaveProperty("classify");
  });

  test("that know a voice's sex alone have nothing to say of its age", async () => {
    const spec = ageSexModel.classifier!;
    const sexOnly = { ...ageSexModel, classifier: { ...spec, heads: spec.heads.slice(1) } };
    const { analyzer } = await start([sexOnly]);
    const result = await analyzer.analyze(samplePath, { parts: ["age", "sex"] });
    expect(result.age).toEqual({
      status: "unavailable",
      reason: "No model that gives age is in the manifest.",
    });
    Sex.parse(result.sex);
  });

  test("of a recording without enough speech judges nothing", async () => {
    const { analyzer } = await start([emotionModel, ageSexModel]);
    const result = await analyzer.analyze(fixturePath("silence.wav"), { parts: ["age", "sex"] });
    const none = { status: "unavailable", reason: "There is less than 1 s of speech." };
    expect(result).toMatchObject({ age: none, sex: none });
  });
});

describe("a model that was changed on the disk", () => {
  // One that is loaded is in use as it was; these start without any.
  let fresh = createInference();
  beforeEach(() => {
    fresh = createInference();
  });
  afterEach(() => fresh.close());

  test("takes its own parts away, with the reason, and no others; and is asked again next time", async () => {
    const { analyzer, into } = await start([emotionModel, ageSexModel], undefined, fresh);
    const file = join(into, "tiny-age-sex@1", "age-sex.onnx");
    const right = await readFile(file);
    const wrong = Buffer.from(right);
    wrong[5000]! ^= 1;
    await writeFile(file, wrong);
    const result = await analyzer.analyze(samplePath, { parts });
    for (const part of ["age", "sex"] as const) {
      expect(result[part]).toEqual({
        status: "unavailable",
        reason: expect.stringMatching(
          /^The file age-sex\.onnx of the model tiny-age-sex has the SHA-256/,
        ) as string,
      });
    }
    ClassifiedEmotion.parse(Emotion.parse(result.emotion).classified);
    expect(Object.keys(result.made)).not.toContain("age");
    expect(result.engines).not.toHaveProperty("age");
    await writeFile(file, right);
    const mended = await analyzer.analyze(samplePath, { parts, known: result.made });
    Age.parse(mended.age);
  });

  test("leaves the rule's arousal where it is that of emotion", async () => {
    const { analyzer, into } = await start([emotionModel], undefined, fresh);
    await writeFile(join(into, "tiny-emotion@1", "emotion.onnx"), "none");
    const result = await analyzer.analyze(samplePath, { parts: ["emotion"] });
    expect(Emotion.parse(result.emotion)).toMatchObject({
      arousal: expect.any(Number) as number,
      classified: { status: "unavailable" },
    });
    expect(result.made).not.toHaveProperty("emotion");
    expect(result.engines).not.toHaveProperty("emotion_classifier");
  });
});

test("a thread that dies under a model fails the analysis, to be tried again", async () => {
  const dying: Inference = {
    ...inference,
    run: (task, ...rest) =>
      task === "classify"
        ? Promise.reject(new InferenceError("inference_thread_died", "It died."))
        : inference.run(task, ...rest),
  };
  const { analyzer, scratch } = await start([ageSexModel], undefined, dying);
  await expect(analyzer.analyze(samplePath, { parts: ["age"] })).rejects.toMatchObject({
    code: "inference_thread_died",
    retryable: true,
  });
  expect(await readdir(scratch)).toEqual([]);
});

test("the command line shows verdicts, and the command for what is missing", async () => {
  const both = await start([emotionModel, ageSexModel]);
  const none = await start([emotionModel, ageSexModel], []);
  const show = async ({ analyzer }: typeof both) => {
    const { made: _, ...result } = await analyzer.analyze(samplePath, { parts });
    return renderJob({
      id: "job",
      result: { ...result, cost: { usd: 0 } },
    } as unknown as Job);
  };
  const [with_, without] = await Promise.all([show(both), show(none)]);
  expect(with_).toMatch(/emotion {9}\w+ \d+ %, arousal [+-]\d\.\d\d/);
  expect(with_).toMatch(/age {13}sounds like \d+ years/);
  expect(with_).toMatch(/sex {13}sounds (fe)?male|child, \d+ %/);
  expect(without).toMatch(/emotion {9}unavailable: .*pull tiny-emotion/);
  expect(without).toMatch(/age {13}unavailable: .*pull tiny-age-sex/);
});
