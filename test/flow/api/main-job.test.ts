import { readFile, readdir } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AnalysisResult } from "../../../shared/contracts/analysis-result.ts";
import { CompletionOffer, OutboxEnvelope } from "../../../shared/contracts/completion.ts";
import { RegionJobState, SubmitAnswer } from "../../../shared/contracts/internal-api.ts";
import type { JobSpec } from "../../../shared/contracts/job.ts";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import type { Completion } from "../../../regions/queue/queue-port.ts";
import { createAnalyzer } from "../../../regions/speech/analyze.ts";
import { createDecoder } from "../../../regions/speech/decode/decoder.ts";
import { createFeaturesThread } from "../../../regions/speech/features/create-features-thread.ts";
import { createInferenceThread } from "../../../regions/speech/inference/create-inference-thread.ts";
import { createRunJob } from "../../../regions/workers/run-job.ts";
import { openScratch } from "../../../regions/workers/scratch.ts";
import { createWorker, type Worker } from "../../../regions/workers/worker.ts";
import { jobSpec } from "../../contract/queue-bench.ts";
import { fixturePath, samplePath } from "../speech/fixtures.ts";
import { inProcessApi } from "./in-process-api.ts";
import {
  edgeRequest,
  REGION,
  silent,
  startRegionBench,
  type RegionBench,
  secretBox,
} from "./region-bench.ts";

let bench: RegionBench;
let api: Awaited<ReturnType<typeof inProcessApi>>;
let worker: Worker;
let working: Promise<void>;
const decoder = createDecoder();
const inference = createInferenceThread();
const features = createFeaturesThread();

beforeAll(async () => {
  bench = await startRegionBench();
  api = await inProcessApi(bench);
  const { objects, queue, stages } = bench;
  const scratch = await openScratch(bench.scratchDir, "w1");
  const analyzer = createAnalyzer({ decoder, inference, features });
  worker = createWorker({
    workerId: "w1",
    queue,
    objects,
    runJob: createRunJob({ secretBox, region: REGION, objects, stages, analyzer, scratch }),
    logger: silent,
    metrics: createMetrics(),
  });
  working = worker.run();
}, 30_000);

afterAll(async () => {
  worker.stop();
  await working;
  await Promise.all([decoder.close(), inference.close(), features.close(), api.close()]);
  await bench.close();
});

/** Uploads, submits through the API, and waits for the end of the run. */
async function through(
  spec: JobSpec,
  audio: Uint8Array,
  contentType?: string,
): Promise<Completion> {
  await bench.putUpload(spec, audio, contentType);
  const response = await api.app.request(await edgeRequest("POST", "/internal/jobs", spec));
  expect(response.status).toBe(202);
  expect(SubmitAnswer.parse(await response.json())).toMatchObject({
    job_id: spec.id,
    dispatch: spec.dispatch,
    duplicate: false,
  });
  const ends = async () => (await bench.offers()).filter(({ offer }) => offer.job_id === spec.id);
  await expect.poll(ends, { timeout: 20_000, interval: 20 }).toHaveLength(1);
  const [end] = await ends();
  CompletionOffer.parse(end!.offer);
  OutboxEnvelope.parse(end!.envelope);
  return end!;
}

test("a job goes from the API through queue and worker to an offer, with result and audio in the bucket", async () => {
  const audio = await readFile(samplePath);
  const spec = jobSpec({
    user_id: "u-1",
    metadata: { a: "b" },
    parts: ["voice_activity", "features", "age"],
  });
  const { offer, envelope } = await through(spec, audio);

  expect(offer).toMatchObject({
    status: "succeeded",
    region: REGION,
    epoch: { dispatch: 1, attempt: 1 },
    result_key: `results/global/ten_demo/${spec.id}/1-1.json`,
    audio: { bytes: audio.length, extension: "wav" },
  });
  const kept = await bench.objects.get(`audio/global/ten_demo/${offer.audio!.sha256}.wav`);
  expect(kept?.contentType).toBe("audio/wav");
  expect(Buffer.concat(await kept!.body.toArray())).toEqual(audio);

  const text = await bench.objects.getText(offer.result_key!, 1e6);
  const result = AnalysisResult.parse(JSON.parse(text!));
  expect(result).toMatchObject({
    region: REGION,
    epoch: offer.epoch,
    age: { status: "unavailable" },
    features: { set: "eGeMAPSv02" },
    voice_activity: { segments: expect.arrayContaining([expect.anything()]) },
    cost: offer.cost,
  });
  expect(result.emotion).toBeUndefined();
  expect(result.audio.duration_s).toBe(offer.audio!.duration_s);
  for (const step of ["queued", "fetch", "decode", "store", "total"]) {
    expect(result.timings_ms).toHaveProperty(step);
  }
  expect(result.cost.usd).toBeGreaterThan(0);

  expect(envelope.result).toEqual(result);
  expect(envelope.job).toMatchObject({ user_id: "u-1", metadata: { a: "b" }, usd: offer.cost.usd });
  expect(envelope.usage.map(({ stage }) => stage).toSorted()).toEqual([
    "audio",
    "decode",
    "features",
    "voice_activity",
  ]);

  const state = await api.app.request(
    await edgeRequest("GET", `/internal/jobs/${spec.id}?tenant_id=ten_demo`),
  );
  // Not final before the ledger has said so.
  expect(RegionJobState.parse(await state.json())).toMatchObject({
    status: "running",
    progress: 1,
  });
  const read = await api.app.request(
    await edgeRequest("POST", "/internal/results/read", {
      job_id: spec.id,
      tenant_id: "ten_demo",
      result_key: offer.result_key,
    }),
  );
  expect(await read.json()).toEqual({ result, from: "s3" });
}, 30_000);

test("nothing that is content of a bound tenant gets into the envelope", async () => {
  const spec = jobSpec({ residency: "us", user_id: "u-secret", metadata: { note: "secret" } });
  const { offer, envelope } = await through(spec, await readFile(samplePath));
  expect(offer.status).toBe("succeeded");
  expect(offer.result_key).toMatch(/^results\/us\//);
  expect(envelope.result).toBeNull();
  expect(JSON.stringify({ offer, envelope })).not.toContain("secret");
});

describe("a bad recording ends its job at the first attempt, with its code", () => {
  test.each([
    ["not-audio.wav", "audio/wav", "audio_unsupported"],
    ["zero-seconds.wav", "audio/wav", "audio_empty"],
    ["truncated.wav", "audio/wav", "audio_truncated"],
    ["truncated.flac", "audio/flac", "audio_truncated"],
    ["truncated.m4a", "audio/mp4", "audio_truncated"],
    ["truncated-opus.ogg", "audio/ogg", "audio_truncated"],
    ["corrupt.flac", "audio/flac", "audio_corrupt"],
    ["mislabelled.mp3", "audio/mpeg", "audio_mislabelled"],
    ["playlist.m3u8", "audio/mpeg", "audio_unsupported"],
    ["session.sdp", "application/octet-stream", "audio_unsupported"],
  ])(
    "%s sent as %s: %s",
    async (name, contentType, code) => {
      const { offer, envelope } = await through(
        jobSpec(),
        await readFile(fixturePath(name)),
        contentType,
      );
      expect(offer).toMatchObject({
        status: "failed",
        epoch: { attempt: 1 },
        error: { code, retryable: false },
      });
      expect(offer.result_key).toBeUndefined();
      expect(envelope).toMatchObject({ result: null, usage: [], job: { error_code: code } });
    },
    30_000,
  );
});

test("silence is a result", async () => {
  const { offer, envelope } = await through(jobSpec(), await readFile(fixturePath("silence.wav")));
  expect(offer.status).toBe("succeeded");
  expect(envelope.result).toMatchObject({ audio: { level: { silent: true, rms_dbfs: null } } });
});

test("an upload that went away after it was accepted fails its job", async () => {
  const spec = jobSpec();
  await bench.queue.submit(spec);
  const ends = async () => (await bench.offers()).filter(({ offer }) => offer.job_id === spec.id);
  await expect.poll(ends, { timeout: 20_000, interval: 20 }).toHaveLength(1);
  expect((await ends())[0]!.offer.error).toMatchObject({ code: "upload_not_found" });
});

test("no run leaves a file behind", async () => {
  expect(await readdir(`${bench.scratchDir}/antiphon-w1`)).toEqual([]);
});
