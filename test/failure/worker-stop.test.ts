import { readFile } from "node:fs/promises";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createMetrics } from "../../regions/ops/metrics.ts";
import { failed } from "../../regions/queue/completion.ts";
import { createRedisQueue } from "../../regions/queue/redis-queue.ts";
import type { Queue, Run } from "../../regions/queue/queue-port.ts";
import { createJobHistory } from "../../regions/results/job-history.ts";
import { createAnalyzer } from "../../regions/speech/analyze.ts";
import { createDecoder } from "../../regions/speech/decode/decoder.ts";
import { createFeaturesThread } from "../../regions/speech/features/create-features-thread.ts";
import { createInferenceThread } from "../../regions/speech/inference/create-inference-thread.ts";
import { createClaimTerms } from "../../regions/workers/claim-terms.ts";
import { createRunJob, type RunJob } from "../../regions/workers/run-job.ts";
import { openScratch } from "../../regions/workers/scratch.ts";
import { createWorker } from "../../regions/workers/worker.ts";
import type { JobSpec } from "../../shared/contracts/job.ts";
import { jobSpec } from "../contract/queue-bench.ts";
import {
  REGION,
  silent,
  startRegionBench,
  type RegionBench,
  secretBox,
} from "../flow/api/region-bench.ts";
import { makeFolder, samplePath } from "../flow/speech/fixtures.ts";

const folder = await makeFolder();
/** The better part of an hour: no run of it ends by itself within a test. */
const endless = await readFile(await folder.silence("endless.wav", 3200));
const short = await readFile(samplePath);
afterAll(() => folder.remove());

let bench: RegionBench;
const closers: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  bench = await startRegionBench({ leaseMs: 60_000, retry: { baseMs: 20 } });
}, 30_000);
afterEach(async () => {
  vi.useRealTimers();
  for (const close of closers.splice(0).toReversed()) await close();
  await bench.close();
});

const wait = { timeout: 30_000, interval: 20 };
const ends = async () => (await bench.offers()).map(({ offer }) => offer);
async function submit(changes: Partial<JobSpec> = {}, audio = short): Promise<JobSpec> {
  const spec = jobSpec(changes);
  await bench.putUpload(spec, audio);
  await bench.queue.submit(spec);
  return spec;
}
const begun = ({ id }: JobSpec) =>
  expect
    .poll(async () => (await bench.queue.state(id))?.state, wait)
    .toMatchObject({ status: "running", progress: expect.toSatisfy((part) => part > 0) });

function run(options: { runJob: RunJob; workerId?: string; queue?: Queue }) {
  const { objects, queue } = bench;
  const metrics = createMetrics();
  const worker = createWorker({
    workerId: "w1",
    queue,
    objects,
    logger: silent,
    metrics,
    concurrency: 1,
    leaseMs: 60_000,
    ...options,
  });
  const working = worker.run();
  closers.push(async () => {
    worker.stop();
    await working;
  });
  return { metrics, worker };
}

/** A worker that runs one job at a time, on one decoder process, as real ones do. */
async function startWorker(queue = bench.queue) {
  const decoder = createDecoder({ maxProcesses: 1 });
  const inference = createInferenceThread();
  const features = createFeaturesThread();
  closers.push(() => Promise.all([decoder.close(), inference.close(), features.close()]));
  const analyzer = createAnalyzer({ decoder, inference, features });
  const scratch = await openScratch(bench.scratchDir, "w1");
  const history = createJobHistory({ redis: bench.client });
  const { objects, stages } = bench;
  const { observe } = history;
  const runJob = createRunJob({
    secretBox,
    region: REGION,
    objects,
    stages,
    analyzer,
    scratch,
    observe,
  });
  return { history, ...run({ runJob, queue }) };
}

test("a job that is canceled in its middle stops on the spot, ends as canceled, and makes room for the next", async () => {
  const { history } = await startWorker();
  const canceled = await submit({ parts: ["voice_activity", "features"] }, endless);
  await begun(canceled);
  expect(await bench.queue.cancel(canceled.id)).toBe("canceling");
  const next = await submit();
  await expect.poll(ends, wait).toMatchObject([
    { job_id: canceled.id, status: "canceled", epoch: { attempt: 1 } },
    { job_id: next.id, status: "succeeded" },
  ]);
  // What was stopped says nothing of what such jobs take.
  await history.exchange();
  const known = JSON.parse((await bench.client.hget("antiphon:job-history", "json"))!);
  expect(Object.keys(known.compute.rates).toSorted()).toEqual(["", "analysis|voice_activity|"]);
}, 60_000);

test("a job that runs past its deadline is stopped and fails with it; one that waits past it never begins", async () => {
  // The queue's clock stands still, so that a job with time left is begun in any case.
  const now = Date.now();
  const queue = createRedisQueue({
    url: bench.redis.url,
    region: REGION,
    leaseMs: 60_000,
    now: () => now,
  });
  closers.push(() => queue.close());
  const { metrics } = await startWorker(queue);
  const by = (ms: number) => ({ deadline_at: new Date(now + ms).toISOString() });
  const inTime = await submit(by(600_000));
  const late = await submit(by(500), endless);
  const past = await submit(by(-1000));
  const next = await submit();
  await expect.poll(ends, wait).toHaveLength(4);
  const offers = new Map((await ends()).map((offer) => [offer.job_id, offer]));
  for (const { id } of [late, past]) {
    expect(offers.get(id)).toMatchObject({
      status: "failed",
      error: { code: "deadline_exceeded", retryable: true },
      epoch: { attempt: 1 },
    });
  }
  for (const { id } of [inTime, next])
    expect(offers.get(id)).toMatchObject({ status: "succeeded" });
  expect((await bench.queue.load()).dead).toBe(0);
  // Of the two, one was begun.
  await expect
    .poll(() => metrics.render(), wait)
    .toContain('antiphon_runs_total{outcome="deadline_exceeded"} 1\n');
}, 60_000);

test("a job that is not what the contract says is put aside with the reason, and those around it are done", async () => {
  const before = await submit();
  const bad = await submit();
  const after = await submit();
  await bench.client.set(`{antiphon}:spec:${bad.id}`, JSON.stringify({ ...bad, parts: 5 }));
  const newer = { ...jobSpec(), v: 2 } as unknown as JobSpec;
  await bench.queue.submit(newer);
  await startWorker();
  await expect.poll(ends, wait).toHaveLength(3);
  const outcomes = Object.fromEntries((await ends()).map(({ job_id, status }) => [job_id, status]));
  expect(outcomes).toEqual({
    [before.id]: "succeeded",
    [bad.id]: "failed",
    [after.id]: "succeeded",
  });
  const { data } = await bench.queue.deadLetters.list();
  expect(data).toMatchObject([{ jobId: bad.id, reason: "its specification could not be read" }]);
  // A worker that knows its version will take it.
  expect((await bench.queue.state(newer.id))?.state).toMatchObject({
    status: "queued",
    epoch: { attempt: 0 },
  });
}, 60_000);

test("a worker whose clock is a day ahead keeps its leases, and the times it gives are the region's", async () => {
  const real = () => performance.timeOrigin + performance.now();
  const spec = await submit({ deadline_at: new Date(real() + 600_000).toISOString() });
  vi.useFakeTimers({ toFake: ["Date"], now: real() + 24 * 3_600_000 });
  // The bucket refuses its first call, and tells it the time.
  await startWorker();
  await expect.poll(ends, wait).toMatchObject([{ job_id: spec.id, status: "succeeded" }]);
  const stopped = await submit({}, endless);
  await begun(stopped);
  await bench.queue.cancel(stopped.id);
  await expect.poll(ends, wait).toMatchObject([{}, { job_id: stopped.id, status: "canceled" }]);
  for (const { started_at, finished_at } of await ends()) {
    for (const at of [started_at, finished_at]) {
      expect(Math.abs(Date.parse(at) - real())).toBeLessThan(600_000);
    }
  }
}, 60_000);

describe("a slow worker", () => {
  const fast = (given: object = {}) =>
    bench.queue.reportLoad({
      v: 1,
      worker_id: "fast",
      capacity: 1,
      active_jobs: 0,
      queued_compute_seconds: 0,
      speed: 4,
      draining: false,
      ttl_ms: 60_000,
      ...given,
    });
  const slow = {
    v: 1,
    worker_id: "slow",
    capacity: 1,
    active_jobs: 0,
    queued_compute_seconds: 0,
    speed: 1,
    draining: false,
    ttl_ms: 60_000,
  } as const;
  const terms = (queue = bench.queue) =>
    createClaimTerms({ workerId: "slow", queue, self: () => slow }).now();

  test("takes anything while it is alone, and leaves what a faster one will soon have done", async () => {
    expect((await terms()).maxEstimateS).toBeUndefined();
    await fast();
    expect((await terms()).maxEstimateS).toBe(0);
    // For whoever waits 5 s, by a report that was made just now, and then runs four times as fast, it pays from some size on.
    await fast({ active_jobs: 1, queued_compute_seconds: 20 });
    const reports = await bench.queue.workers();
    const nowMs = reports.workers[0]!.reported_at_ms;
    const workers = async () => ({ ...reports, nowMs });
    expect((await terms({ ...bench.queue, workers })).maxEstimateS).toBe(40);
    await fast({ draining: true });
    expect((await terms()).maxEstimateS).toBeUndefined();
    await fast({ speed: 1 });
    expect((await terms()).maxEstimateS).toBeUndefined();
  });

  test("takes what comes when it cannot learn of the others", async () => {
    await fast();
    const away = async () => {
      throw new Error("a lost connection, for the test");
    };
    const queue = { ...bench.queue, workers: away };
    expect((await terms(queue)).maxEstimateS).toBeUndefined();
  });

  test("begins a job only once the faster one takes no more", async () => {
    await fast();
    const spec = jobSpec();
    await bench.queue.submit(spec);
    let fastIsThere = true;
    const looked = Promise.withResolvers<void>();
    let looks = 0;
    const queue: Queue = {
      ...bench.queue,
      load: async () => {
        if (++looks === 3) looked.resolve();
        return bench.queue.load();
      },
    };
    const begunWhile: boolean[] = [];
    run({
      workerId: "slow",
      queue,
      runJob: async (one) => {
        begunWhile.push(fastIsThere);
        return failed({ ...one, region: REGION, finishedAtMs: Date.now(), code: "audio_empty" });
      },
    });
    await looked.promise;
    fastIsThere = false;
    await fast({ draining: true });
    await expect.poll(ends, wait).toMatchObject([{ job_id: spec.id }]);
    expect(begunWhile).toEqual([false]);
  });
});

test("a worker says what it has and can do, and what it says is forgotten once it has gone", async () => {
  const moved = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  run({
    runJob: async (one, { onProgress }) => {
      await moved.promise;
      onProgress(0.98);
      await held.promise;
      return failed({ ...one, region: REGION, finishedAtMs: Date.now(), code: "audio_empty" });
    },
  });
  await bench.queue.submit(jobSpec(), { estimateS: 50 });
  const reports = async () => (await bench.queue.workers()).workers;
  await expect.poll(reports, wait).toMatchObject([
    {
      worker_id: "w1",
      capacity: 1,
      active_jobs: 1,
      queued_compute_seconds: expect.toSatisfy((ahead) => ahead > 40 && ahead <= 50),
    },
  ]);
  moved.resolve();
  // It knows better now than what was expected.
  await expect
    .poll(reports, wait)
    .toMatchObject([
      { active_jobs: 1, queued_compute_seconds: expect.toSatisfy((ahead) => ahead < 5) },
    ]);
  held.resolve();
  await expect.poll(reports, wait).toMatchObject([{ active_jobs: 0, queued_compute_seconds: 0 }]);
  for (const close of closers.splice(0)) await close();
  await expect.poll(reports, wait).toEqual([]);
}, 60_000);

const endOf = (one: Run) =>
  failed({ ...one, region: REGION, finishedAtMs: Date.now(), code: "audio_empty" });

test("the next job begins while the end of the last is on its way, and none beyond the room there is", async () => {
  const specs = [jobSpec(), jobSpec(), jobSpec()];
  for (const spec of specs) await bench.queue.submit(spec);
  const [first, second, third] = specs.map(({ id }) => id);
  const offering = Promise.withResolvers<void>();
  const working = Promise.withResolvers<void>();
  const begunIds: string[] = [];
  let atWork = 0;
  let most = 0;
  run({
    queue: {
      ...bench.queue,
      async finish(one, completion) {
        if (one.spec.id === first) await offering.promise;
        return bench.queue.finish(one, completion);
      },
    },
    runJob: async (one) => {
      begunIds.push(one.spec.id);
      most = Math.max(most, ++atWork);
      if (one.spec.id === second) await working.promise;
      atWork -= 1;
      return endOf(one);
    },
  });
  // So that a failure ends the test, and not its time.
  closers.push(async () => {
    offering.resolve();
    working.resolve();
  });
  await expect.poll(() => begunIds, wait).toEqual([first, second]);
  offering.resolve();
  await expect.poll(ends, wait).toMatchObject([{ job_id: first }]);
  working.resolve();
  await expect.poll(ends, wait).toHaveLength(3);
  expect(begunIds).toEqual([first, second, third]);
  expect(most).toBe(1);
});

test("a job that was on its way to a worker as it was told to stop is given back at once, at no cost to it", async () => {
  const spec = jobSpec();
  await bench.queue.submit(spec);
  let began = 0;
  const { worker, metrics } = run({
    queue: {
      ...bench.queue,
      async claimMany(terms) {
        const runs = await bench.queue.claimMany(terms);
        worker.stop();
        return runs;
      },
    },
    runJob: async (one) => {
      began += 1;
      return endOf(one);
    },
  });
  await expect
    .poll(() => metrics.render(), wait)
    .toContain('antiphon_runs_total{outcome="handed_back"} 1\n');
  expect(began).toBe(0);
  const { signal } = new AbortController();
  expect(await bench.queue.claim({ workerId: "w2", signal })).toMatchObject({ triedBefore: 0 });
});

test("a claim that is given up before it went out takes nothing", async () => {
  const spec = jobSpec();
  await bench.queue.submit(spec);
  const stop = new AbortController();
  const claim = bench.queue.claim({ workerId: "w1", signal: stop.signal });
  stop.abort();
  expect(await claim).toBeUndefined();
  expect((await bench.queue.state(spec.id))?.state).toMatchObject({ status: "queued" });
});
