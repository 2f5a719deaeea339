import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CompletionOffer, OutboxEnvelope } from "../../../shared/contracts/completion.ts";
import { batchJobId, mintBatchId, textUploadId } from "../../../shared/contracts/ids.ts";
import { SubmitAnswer } from "../../../shared/contracts/internal-api.ts";
import type { JobSpec, SpeechTask } from "../../../shared/contracts/job.ts";
import { audioKey } from "../../../shared/contracts/object-keys.ts";
import { findRegion } from "../../../shared/contracts/regions.ts";
import { Problem } from "../../../shared/errors/problem.ts";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import type { Completion } from "../../../regions/queue/queue-port.ts";
import {
  createSynthesizer,
  type Synthesizer,
} from "../../../regions/speech/synthesis/create-synthesizer.ts";
import { createVoices } from "../../../regions/speech/synthesis/create-voices.ts";
import { createRunSpeechJob } from "../../../regions/workers/run-speech-job.ts";
import { createWorker, type Worker } from "../../../regions/workers/worker.ts";
import { jobSpec } from "../../contract/queue-bench.ts";
import { inProcessApi } from "./in-process-api.ts";
import { edgeRequest, REGION, silent, startRegionBench, type RegionBench } from "./region-bench.ts";

let bench: RegionBench;
let api: Awaited<ReturnType<typeof inProcessApi>>;
let synthesizer: Synthesizer;
let worker: Worker;
let working: Promise<void>;

beforeAll(async () => {
  bench = await startRegionBench();
  synthesizer = createSynthesizer({ voices: createVoices() });
  api = await inProcessApi(bench, { speech: synthesizer });
  const { objects, queue } = bench;
  worker = createWorker({
    workerId: "w1",
    queue,
    objects,
    runJob: createRunSpeechJob({ region: REGION, objects, synthesizer, logger: silent }),
    logger: silent,
    metrics: createMetrics(),
  });
  working = worker.run();
}, 30_000);

afterAll(async () => {
  worker.stop();
  await working;
  await Promise.all([api.close(), synthesizer.close()]);
  await bench.close();
});

const wholeText = (text: string) => ({ offset: 0, bytes: Buffer.byteLength(text) });

function synthesis(text: string, more: Partial<SpeechTask> = {}): JobSpec {
  const spec = jobSpec({ kind: "synthesis", parts: [] });
  const speech: SpeechTask = {
    text: wholeText(text),
    voice: "slt",
    response_format: "wav",
    speed: 1,
    ...more,
  };
  return { ...spec, upload_id: textUploadId(spec.id), speech };
}

async function submit(spec: JobSpec, text?: string): Promise<Response> {
  if (text !== undefined) await bench.putUpload(spec, Buffer.from(text), "text/plain");
  return api.app.request(await edgeRequest("POST", "/internal/jobs", spec));
}

async function endOf(id: string): Promise<Completion> {
  const ends = async () => (await bench.offers()).filter(({ offer }) => offer.job_id === id);
  await expect.poll(ends, { timeout: 20_000, interval: 20 }).toHaveLength(1);
  const [end] = await ends();
  CompletionOffer.parse(end!.offer);
  OutboxEnvelope.parse(end!.envelope);
  return end!;
}

async function audioOf(spec: JobSpec, { offer }: Completion): Promise<Buffer> {
  const owner = { residency: spec.residency, tenantId: spec.tenant_id };
  const { sha256, extension } = offer.audio!;
  const found = await bench.objects.get(audioKey(owner, sha256, extension));
  return buffer(found!.body);
}

const text = "Good morning. The train leaves at nine.";

test("a text becomes audio at its content address, and its usage is that of speech", async () => {
  const spec = synthesis(text);
  expect(SubmitAnswer.parse(await (await submit(spec, text)).json())).toMatchObject({
    duplicate: false,
  });
  const end = await endOf(spec.id);
  const { audio, status, cost } = end.offer;
  expect(status).toBe("succeeded");
  const wav = await audioOf(spec, end);
  expect(createHash("sha256").update(wav).digest("hex")).toBe(audio!.sha256);
  // A file as any player takes it, though it was made as a stream.
  expect(wav.readUInt32LE(4)).toBe(wav.length - 8);
  expect(wav.readUInt32LE(40) / 2 / wav.readUInt32LE(24)).toBeCloseTo(audio!.duration_s, 3);
  expect(audio!.duration_s).toBeGreaterThan(1.5);
  expect(cost.stages.map(({ stage }) => stage)).toEqual(["speech"]);
  const { usage, job } = end.envelope;
  expect(job).toMatchObject({ kind: "synthesis", status: "succeeded" });
  expect(usage.map(({ stage, unit }) => [stage, unit])).toEqual([
    ["speech", "compute_second"],
    ["speech_text", "character"],
    ["speech_audio", "audio_second"],
  ]);
  expect(JSON.stringify(end)).not.toContain("train");
});

test("what a client listened to is found again by a job, at no cost, and the other way round", async () => {
  const order = (spec: JobSpec, input: string) => ({
    tenant_id: spec.tenant_id,
    residency: spec.residency,
    input,
    voice: "slt",
    response_format: "mp3",
    speed: 1,
  });
  const heard = "Heard before.";
  const first = synthesis(heard, { response_format: "mp3" });
  const live = await api.app.request(
    await edgeRequest("POST", "/internal/speech", order(first, heard)),
  );
  const bytes = Buffer.from(await live.arrayBuffer());
  // It is kept after the answer.
  await expect
    .poll(() => bench.objects.list(`speech/global/${first.tenant_id}/`, 10))
    .toHaveLength(1);
  await submit(first, heard);
  const found = await endOf(first.id);
  expect(found.offer.cost).toEqual({ usd: 0, stages: [] });
  expect(found.envelope.usage).toEqual([]);
  expect(found.offer.audio!.duration_s).toBeGreaterThan(0.3);
  expect((await audioOf(first, found)).equals(bytes)).toBe(true);

  const made = "Made by a job.";
  const second = { ...synthesis(made, { response_format: "mp3" }), tenant_id: first.tenant_id };
  await submit(second, made);
  await endOf(second.id);
  const again = await api.app.request(
    await edgeRequest("POST", "/internal/speech", order(second, made)),
  );
  expect(again.headers.get("x-antiphon-cache")).toBe("hit");
});

test.each([
  ["text_empty", "!!!", {}],
  ["text_language_unsupported", "Привет, как дела?", {}],
  ["invalid_request", "Hello.", { voice: "nobody" }],
])("%s is told before a job is taken", async (code, input, more) => {
  const spec = synthesis(input, more);
  const answer = await submit(spec, input);
  expect(Problem.parse(await answer.json()).code).toBe(code);
  expect(await bench.queue.state(spec.id)).toBeUndefined();
});

test("a text that is not in this region's bucket is not taken", async () => {
  const answer = await submit(synthesis(text));
  expect(Problem.parse(await answer.json()).code).toBe("upload_not_found");
});

test("of a batch each item has its own bytes of one upload, and what is wrong with one fails that one alone", async () => {
  const batch = mintBatchId(findRegion(REGION)!);
  const texts = ["Olé, one.", "Привет", "", "Four."];
  let offset = 0;
  const jobs = texts.map((each, item): JobSpec => {
    const bytes = Buffer.byteLength(each);
    const { speech: task, ...spec } = synthesis("x");
    const job = { ...spec, batch: { id: batch, item } };
    const speech = { ...task!, text: { offset, bytes } };
    offset += bytes;
    return {
      ...job,
      id: batchJobId(batch, item),
      tenant_id: "ten_batch",
      upload_id: textUploadId(batch),
      ...(bytes > 0 ? { speech } : { fault: { code: "invalid_request", detail: "text: empty" } }),
    };
  });
  await bench.putUpload(jobs[0]!, Buffer.from(texts.join("")), "text/plain");
  const request = async () =>
    api.app.request(await edgeRequest("POST", "/internal/jobs/batch", { jobs }));
  const answer = await request();
  expect(answer.status).toBe(202);
  expect(await answer.json()).toEqual({ taken: 4 });
  // The same again takes nothing twice.
  expect((await request()).status).toBe(202);
  const ends = await Promise.all(jobs.map(({ id }) => endOf(id)));
  expect(ends.map(({ offer }) => [offer.status, offer.error?.code])).toEqual([
    ["succeeded", undefined],
    ["failed", "text_language_unsupported"],
    ["failed", "invalid_request"],
    ["succeeded", undefined],
  ]);
  expect(ends[2]!.offer.error!.detail).toBe("text: empty");
  // Sent again alone, as the ledger does when its region was lost: not taken where the text is not.
  const moved = {
    ...jobs[0]!,
    dispatch: 2,
    upload_id: textUploadId(mintBatchId(findRegion(REGION)!)),
  };
  expect(Problem.parse(await (await submit(moved)).json()).code).toBe("upload_not_found");
  // "Olé" has more bytes than characters: the fourth text begins where it says.
  const alone = { ...synthesis("Four."), tenant_id: "ten_batch" };
  await submit(alone, "Four.");
  const { offer } = await endOf(alone.id);
  expect(ends[3]!.offer.audio!.sha256).toBe(offer.audio!.sha256);
});
