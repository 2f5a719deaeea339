import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { AnalysisResult } from "../../../shared/contracts/analysis-result.ts";
import type { CompletionOffer } from "../../../shared/contracts/completion.ts";
import { SubmitAnswer } from "../../../shared/contracts/internal-api.ts";
import { AnalysisPart, type JobSpec } from "../../../shared/contracts/job.ts";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import { createStagePlans } from "../../../regions/results/stage-plans.ts";
import { createAnalyzer } from "../../../regions/speech/analyze.ts";
import { createDecoder, type Decoder } from "../../../regions/speech/decode/decoder.ts";
import { createFeaturesThread } from "../../../regions/speech/features/create-features-thread.ts";
import { createInferenceThread } from "../../../regions/speech/inference/create-inference-thread.ts";
import { createAnnouncePlans } from "../../../regions/workers/announce-plans.ts";
import { createRunJob } from "../../../regions/workers/run-job.ts";
import { openScratch } from "../../../regions/workers/scratch.ts";
import { createWorker, type Worker } from "../../../regions/workers/worker.ts";
import { jobSpec } from "../../contract/queue-bench.ts";
import { samplePath, fixturePath } from "../speech/fixtures.ts";
import { inProcessApi } from "./in-process-api.ts";
import {
  edgeRequest,
  REGION,
  silent,
  startRegionBench,
  type RegionBench,
  secretBox,
} from "./region-bench.ts";

const parts = AnalysisPart.options;
const decoder = createDecoder();
const inference = createInferenceThread();
const features = createFeaturesThread();
/** Files that were decoded. */
let decoded = 0;
const counting: Decoder = {
  ...decoder,
  decode(path, options) {
    decoded += 1;
    return decoder.decode(path, options);
  },
};

let bench: RegionBench;
let api: Awaited<ReturnType<typeof inProcessApi>>;
let worker: Worker;
let working: Promise<void>;
const stop = new AbortController();
let announcing: Promise<void>;

beforeAll(async () => {
  bench = await startRegionBench();
  api = await inProcessApi(bench);
  const { objects, queue, stages, client } = bench;
  const scratch = await openScratch(bench.scratchDir, "w1");
  const analyzer = createAnalyzer({ decoder: counting, inference, features });
  const plans = createStagePlans({ redis: client });
  const announcePlans = createAnnouncePlans({
    analyzer,
    plans,
    logger: silent,
    // Once: a test puts other plans in their place for a moment.
    everyMs: 24 * 3_600_000,
  });
  announcing = announcePlans.run(stop.signal);
  worker = createWorker({
    workerId: "w1",
    queue,
    objects,
    runJob: createRunJob({
      secretBox,
      region: REGION,
      objects,
      stages,
      analyzer,
      announcePlans,
      scratch,
    }),
    logger: silent,
    metrics: createMetrics(),
  });
  working = worker.run();
  await vi.waitFor(async () => expect(await plans.read({ parts })).toBeDefined(), {
    timeout: 20_000,
    interval: 20,
  });
}, 30_000);
afterEach(() => void (decoded = 0));
afterAll(async () => {
  worker.stop();
  stop.abort();
  await Promise.all([working, announcing]);
  await Promise.all([decoder.close(), inference.close(), features.close(), api.close()]);
  await bench.close();
});

const hashOf = (audio: Uint8Array) => createHash("sha256").update(audio).digest("hex");

/** A recording that nobody has sent before: the sample, with a few other samples at its end. */
let recordings = 0;
async function recording(): Promise<Buffer> {
  const audio = Buffer.from(await readFile(samplePath));
  recordings += 1;
  audio.writeInt16LE(recordings, audio.length - 2);
  return audio;
}

/** Submits a job of its own for the audio, through the API. `known`: whether its SHA-256 is known at accept. */
async function submit(
  audio: Uint8Array,
  { contentType = "audio/wav", known = false, ...changes }: Partial<JobSpec> & Wanted = {},
) {
  const spec = jobSpec({ parts, ...changes, ...(known ? { audio_sha256: hashOf(audio) } : {}) });
  await bench.putUpload(spec, audio, contentType);
  return { spec, answer: await resubmit(spec) };
}
interface Wanted {
  contentType?: string;
  known?: boolean;
}

async function resubmit(spec: JobSpec): Promise<SubmitAnswer> {
  const response = await api.app.request(await edgeRequest("POST", "/internal/jobs", spec));
  expect(response.status).toBe(202);
  return SubmitAnswer.parse(await response.json());
}

const offersOf = async (id: string) =>
  (await bench.offers()).filter(({ offer }) => offer.job_id === id);

async function ended({ spec }: { spec: JobSpec }): Promise<CompletionOffer> {
  await expect.poll(() => offersOf(spec.id), { timeout: 20_000, interval: 20 }).not.toHaveLength(0);
  return (await offersOf(spec.id))[0]!.offer;
}

async function resultOf({ result_key }: CompletionOffer): Promise<AnalysisResult> {
  const text = await bench.objects.getText(result_key!, 1e7);
  return AnalysisResult.parse(JSON.parse(text!));
}

const analyse = async (audio: Uint8Array, wanted: Partial<JobSpec> & Wanted = {}) =>
  resultOf(await ended(await submit(audio, wanted)));

/** What a result says of the recording, apart from how it was come by. */
function saidBy({ timings_ms: _, cost: __, cache: ___, epoch: ____, ...said }: AnalysisResult) {
  return said;
}

const valuesOf = (record: Record<string, string>) => [...new Set(Object.values(record))];

describe("a recording that was analysed before", () => {
  test("is answered at accept where its hash is known, equal but for what it took", async () => {
    const audio = await recording();
    const first = await analyse(audio, { parts: parts.toReversed() });
    expect(valuesOf(first.cache)).toEqual(["miss"]);
    expect(Object.keys(first.cache).toSorted()).toEqual(Object.keys(first.engines).toSorted());

    const { spec, answer } = await submit(audio, { known: true });
    expect(answer.completion).toMatchObject({
      job_id: spec.id,
      status: "succeeded",
      region: REGION,
      epoch: { dispatch: 1, attempt: 1 },
      audio: { sha256: hashOf(audio), bytes: audio.length, extension: "wav" },
      cost: { usd: 0 },
    });
    const again = await resultOf(answer.completion!);
    expect(saidBy(again)).toEqual(saidBy(first));
    expect(again.features).toHaveProperty("values");
    expect(valuesOf(again.cache)).toEqual(["hit"]);
    expect(Object.keys(again.cache).toSorted()).toEqual(Object.keys(first.cache).toSorted());
    expect(Object.keys(again.timings_ms).toSorted()).toEqual(["queued", "total"]);

    // Where nothing may be kept it is a worker's, who knows of nothing and keeps nothing, as any other.
    const unkept = await submit(audio, {
      known: true,
      tenant: { keeps_results: false },
      webhook: { url: "http://127.0.0.1:9/hook" },
    });
    expect(unkept.answer.completion).toBeUndefined();
    const end = await ended(unkept);
    expect(end).toMatchObject({ status: "succeeded" });
    expect(end).not.toHaveProperty("result_key");
    expect(decoded).toBe(2);

    // The same offer is on its way to the ledger, once; nobody runs the job.
    const offers = await offersOf(spec.id);
    expect(offers.map(({ offer }) => offer)).toEqual([answer.completion]);
    expect(offers[0]!.envelope.result).toEqual(again);
    expect(offers[0]!.envelope.usage).toMatchObject([{ stage: "audio", usd: 0 }]);
  });

  test("is not decoded again where its hash becomes known with the upload", async () => {
    const audio = await recording();
    const first = await analyse(audio);
    const job = await submit(audio);
    expect(job.answer.completion).toBeUndefined();
    const again = await resultOf(await ended(job));
    expect(saidBy(again)).toEqual(saidBy(first));
    expect(valuesOf(again.cache)).toEqual(["hit"]);
    expect(again.timings_ms).not.toHaveProperty("decode");
    expect(again.cost).toEqual({ usd: 0, stages: [] });
    expect(decoded).toBe(1);
  });

  test("only for some of the parts is decoded once, for the others", async () => {
    const audio = await recording();
    await analyse(audio, { parts: ["features", "voice_activity"] });
    const { cache, timings_ms } = await analyse(audio, {
      parts: ["voice_activity", "speaking_rate", "features"],
      known: true,
    });
    expect(cache).toEqual({
      decode: "miss",
      voice_activity: "hit",
      speaking_rate: "miss",
      features: "hit",
    });
    expect(timings_ms).not.toHaveProperty("voice_activity");
    expect(decoded).toBe(2);
    const alone = await analyse(await recording(), { parts: ["speaking_rate"] });
    const after = await analyse(audio, { parts: ["speaking_rate"], known: true });
    expect(after.engines).toEqual(alone.engines);
    expect(after.cache).toEqual({ decode: "hit", voice_activity: "hit", speaking_rate: "hit" });
  });

  test("for a stage that another needed is known as such", async () => {
    const audio = await recording();
    const { voice_activity } = await analyse(audio);
    const needed = await recording();
    await analyse(needed, { parts: ["speaking_rate"] });
    const { cache } = await analyse(needed, { parts: ["voice_activity"], known: true });
    expect(cache).toEqual({ decode: "hit", voice_activity: "hit" });
    expect(voice_activity).toBeDefined();
  });

  test("by another tenant, or under another residency, was not analysed", async () => {
    const audio = await recording();
    await analyse(audio);
    for (const changes of [{ tenant_id: "ten_other" }, { residency: "us" } as const]) {
      const { cache } = await analyse(audio, { ...changes, known: true });
      expect(valuesOf(cache)).toEqual(["miss"]);
    }
  });

  test("under a content type that it is not is refused all the same", async () => {
    const audio = await recording();
    await analyse(audio);
    for (const known of [true, false]) {
      const job = await submit(audio, { contentType: "audio/flac", known });
      expect(job.answer.completion).toBeUndefined();
      expect(await ended(job)).toMatchObject({
        status: "failed",
        error: { code: "audio_mislabelled" },
      });
    }
  });

  test("is worked on again once another model would", async () => {
    const audio = await recording();
    await analyse(audio, { parts: ["features"] });
    const plans = createStagePlans({ redis: bench.client });
    const plan = (await plans.read({ parts: ["features"] }))!;
    const identities = { ...plan.identities, features: "another model" };
    await plans.publish({ parts: ["features"] }, { ...plan, identities });
    const job = await submit(audio, { parts: ["features"], known: true });
    expect(job.answer.completion).toBeUndefined();
    await ended(job);
    await plans.publish({ parts: ["features"] }, plan);
  });

  test("whose audio was cleared away has it again", async () => {
    const audio = await recording();
    await analyse(audio);
    const kept = `audio/global/ten_demo/${hashOf(audio)}.wav`;
    await bench.objects.delete(kept);
    const { answer } = await submit(audio, { known: true });
    expect(answer.completion).toBeDefined();
    expect((await bench.objects.head(kept))?.bytes).toBe(audio.length);
  });
});

test("two that come at the same time are both answered, and both right", async () => {
  const audio = await recording();
  const results = await Promise.all([analyse(audio), analyse(audio)]);
  expect(saidBy(results[0])).toEqual(saidBy(results[1]));
});

test("a job that was ended at accept and whose answer was lost is offered once, whoever asks again", async () => {
  const audio = await recording();
  await analyse(audio);
  const { spec, answer } = await submit(audio, { known: true });
  const again = await resubmit(spec);
  expect(again).toMatchObject({ duplicate: true });
  expect(again.completion).toBeUndefined();
  const offers = await offersOf(spec.id);
  expect(offers).toHaveLength(1);
  expect(await resultOf(answer.completion!)).toEqual(offers[0]!.envelope.result);
});

test("a recording that fails is not cached", async () => {
  const audio = await readFile(fixturePath("corrupt.flac"));
  for (const known of [false, true]) {
    const job = await submit(audio, { contentType: "audio/flac", known });
    expect(await ended(job)).toMatchObject({ error: { code: "audio_corrupt" } });
  }
  expect(decoded).toBe(2);
});

test("the hash that the bucket checked is the one that counts", async () => {
  const audio = await recording();
  await analyse(audio);
  const spec = jobSpec({ parts });
  await bench.putUpload(spec, audio, "audio/wav", { checked: true });
  expect((await resubmit(spec)).completion).toMatchObject({ audio: { sha256: hashOf(audio) } });
  // The edge hashed something else than what lies there now.
  const other = await recording();
  const wrong = jobSpec({ parts, audio_sha256: hashOf(audio) });
  await bench.putUpload(wrong, other, "audio/wav", { checked: true });
  expect((await resubmit(wrong)).completion).toBeUndefined();
  expect((await ended({ spec: wrong })).audio?.sha256).toBe(hashOf(other));
});
