import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import type { Run } from "../../regions/queue/queue-port.ts";
import { createRedisQueue } from "../../regions/queue/redis-queue.ts";
import type { JobSpec } from "../../shared/contracts/job.ts";
import { jobSpec } from "../contract/queue-bench.ts";
import { REGION, startRegionBench, type RegionBench } from "../flow/api/region-bench.ts";
import { makeFolder, samplePath } from "../flow/speech/fixtures.ts";

/** Renewed every two seconds: a worker that is held up for as long keeps it. */
const LEASE_MS = 6000;
const folder = await makeFolder();
/** Minutes of nothing: long enough to be caught in the middle. */
const long = await readFile(await folder.silence("long.wav", 300));
/** The better part of an hour: no worker comes to its end within the grace of a stop. */
const endless = await readFile(await folder.silence("endless.wav", 3200));
afterAll(() => folder.remove());

let bench: RegionBench;
let reaper: NodeJS.Timeout;
let spec: JobSpec;
beforeEach(async () => {
  bench = await startRegionBench({ leaseMs: LEASE_MS });
  // What the region's keeper does.
  reaper = setInterval(() => void bench.queue.reap().catch(() => undefined), 100);
  spec = jobSpec();
}, 30_000);
afterEach(async () => {
  clearInterval(reaper);
  await bench.close();
});

const wait = { timeout: 30_000, interval: 20 };
const state = async () => (await bench.queue.state(spec.id))?.state;
const ends = async () => (await bench.offers()).map(({ offer }) => offer);

/** Submits the long job and waits until a worker is in the middle of it. */
async function midJob({ attempt = 1, audio = long } = {}): Promise<void> {
  if (attempt === 1) {
    await bench.putUpload(spec, audio);
    await bench.queue.submit(spec);
  }
  await expect.poll(state, wait).toMatchObject({
    status: "running",
    epoch: { attempt },
    progress: expect.toSatisfy((part) => part > 0),
  });
}

/** The lease of an attempt is over: nobody renews it any more. */
async function endLease(attempt: number): Promise<void> {
  const brief = createRedisQueue({ url: bench.redis.url, region: REGION, leaseMs: 1 });
  try {
    expect(await brief.renew({ spec, epoch: { dispatch: 1, attempt } } as Run)).toBeDefined();
  } finally {
    await brief.close();
  }
}

test("a job whose worker is killed with -9 in its middle is finished by another, once, as attempt 2", async () => {
  const first = bench.startWorker("w1");
  await midJob();
  first.kill("SIGKILL");
  bench.startWorker("w2");
  await expect.poll(ends, wait).toHaveLength(1);
  expect(await ends()).toMatchObject([
    { job_id: spec.id, status: "succeeded", epoch: { dispatch: 1, attempt: 2 } },
  ]);
  expect(await bench.queue.load()).toMatchObject({ waiting: 0, running: 0 });

  // The files of the dead one are still there, until a worker of its name starts again.
  const files = () => readdir(join(bench.scratchDir, "antiphon-w1"));
  expect(await files()).toHaveLength(1);
  bench.startWorker("w1");
  await expect.poll(files, wait).toEqual([]);
}, 60_000);

test("a worker that is told to stop hands its job back without cost, and exits 0", async () => {
  const first = bench.startWorker("w1");
  await midJob({ audio: endless });
  const exit = once(first, "exit");
  first.kill("SIGTERM");
  expect(await exit).toEqual([0, null]);
  expect(await state()).toMatchObject({ status: "queued", epoch: { attempt: 1 } });
  const taken = await bench.queue.claim({ workerId: "test", signal: AbortSignal.timeout(20_000) });
  expect(taken).toMatchObject({ triedBefore: 0, epoch: { attempt: 2 } });
  expect(await ends()).toEqual([]);
  expect(await readdir(bench.scratchDir)).toEqual([]);
}, 60_000);

test("an idle worker that is told to stop exits 0 at once", async () => {
  const worker = bench.startWorker("w1");
  await bench.putUpload(spec, await readFile(samplePath));
  await bench.queue.submit(spec);
  await expect.poll(ends, wait).toHaveLength(1);
  const exit = once(worker, "exit");
  worker.kill("SIGTERM");
  expect(await exit).toEqual([0, null]);
}, 60_000);

test("a worker that froze beyond its lease and woke up again can neither finish nor leave a result", async () => {
  const first = bench.startWorker("w1");
  await midJob();
  first.kill("SIGSTOP");
  await expect.poll(state, wait).toMatchObject({ status: "queued" });
  const mine = (await bench.queue.claim({
    workerId: "test",
    signal: AbortSignal.timeout(20_000),
  }))!;
  expect(mine.epoch.attempt).toBe(2);
  const held = setInterval(() => void bench.queue.renew(mine).catch(() => undefined), 300);
  onTestFinished(() => clearInterval(held));
  first.kill("SIGCONT");

  // It has dropped the job and is fit for the next one.
  const next = jobSpec();
  await bench.putUpload(next, await readFile(samplePath));
  await bench.queue.submit(next);
  await expect.poll(ends, wait).toMatchObject([{ job_id: next.id, status: "succeeded" }]);
  await expect.poll(() => readdir(join(bench.scratchDir, "antiphon-w1")), wait).toEqual([]);
  expect(await ends()).toHaveLength(1);
  expect(await state()).toMatchObject({ status: "running", epoch: { attempt: 2 } });
  expect(await bench.objects.list(`results/global/ten_demo/${spec.id}/`, 10)).toEqual([]);
}, 60_000);

test("a job that kills every worker ends as failed after three attempts", async () => {
  for (let attempt = 1; attempt <= 3; attempt++) {
    const worker = bench.startWorker(`w${attempt}`);
    await midJob({ attempt });
    const exit = once(worker, "exit");
    worker.kill("SIGKILL");
    await exit;
    await endLease(attempt);
  }
  await expect
    .poll(ends, wait)
    .toMatchObject([
      { status: "failed", epoch: { attempt: 3 }, error: { code: "job_attempts_exhausted" } },
    ]);
}, 90_000);
