import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createMetrics } from "../../regions/ops/metrics.ts";
import { createAnalyzer } from "../../regions/speech/analyze.ts";
import { createDecoder } from "../../regions/speech/decode/decoder.ts";
import { createFeaturesThread } from "../../regions/speech/features/create-features-thread.ts";
import { createInferenceThread } from "../../regions/speech/inference/create-inference-thread.ts";
import { createRunJob } from "../../regions/workers/run-job.ts";
import { openScratch } from "../../regions/workers/scratch.ts";
import { createWorker } from "../../regions/workers/worker.ts";
import { jobSpec } from "../contract/queue-bench.ts";
import {
  REGION,
  silent,
  startRegionBench,
  type RegionBench,
  secretBox,
} from "../flow/api/region-bench.ts";
import { samplePath } from "../flow/speech/fixtures.ts";

let bench: RegionBench;
const closers: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  bench = await startRegionBench({ leaseMs: 60_000, retry: { baseMs: 20 } });
}, 30_000);
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  await bench.close();
});

const wait = { timeout: 20_000, interval: 20 };
const ends = async () => (await bench.offers()).map(({ offer }) => offer);

async function startWorker(
  changes: Partial<RegionBench["objects"]> = {},
  { queue = bench.queue, leaseMs = 60_000 } = {},
) {
  const objects = { ...bench.objects, ...changes };
  const decoder = createDecoder();
  const inference = createInferenceThread();
  const features = createFeaturesThread();
  const analyzer = createAnalyzer({ decoder, inference, features });
  const scratch = await openScratch(bench.scratchDir, "w1");
  const worker = createWorker({
    workerId: "w1",
    queue,
    objects,
    runJob: createRunJob({
      secretBox,
      region: REGION,
      objects,
      stages: bench.stages,
      analyzer,
      scratch,
    }),
    logger: silent,
    metrics: createMetrics(),
    leaseMs,
  });
  const working = worker.run();
  const stop = async () => {
    worker.stop();
    await working;
  };
  closers.push(async () => {
    await stop();
    await Promise.all([decoder.close(), inference.close(), features.close()]);
  });
  return { stop };
}

test("a bucket that fails costs an attempt, and the job is done when it is back", async () => {
  const spec = jobSpec();
  await bench.putUpload(spec, await readFile(samplePath));
  let failures = 0;
  await startWorker({
    async put(...args) {
      if (failures++ < 2) throw new Error("a fault for the test");
      return bench.objects.put(...args);
    },
  });
  await bench.queue.submit(spec);
  await expect.poll(ends, wait).toMatchObject([{ status: "succeeded", epoch: { attempt: 3 } }]);
}, 60_000);

test("a bucket that never comes back ends the job as failed, to be tried again by the client", async () => {
  const spec = jobSpec();
  await bench.storeServer.close();
  await startWorker();
  await bench.queue.submit(spec);
  await expect.poll(ends, wait).toMatchObject([
    {
      status: "failed",
      epoch: { attempt: 3 },
      error: { code: "job_attempts_exhausted", retryable: true },
    },
  ]);
}, 60_000);

test("a worker outlives its Redis, and takes up the work that was waiting on disk", async () => {
  const spec = jobSpec();
  await bench.putUpload(spec, await readFile(samplePath));
  await bench.queue.submit(spec);
  await bench.redis.stop();
  await startWorker();
  await expect
    .poll(
      () =>
        bench.queue.ping().then(
          () => "up",
          () => "down",
        ),
      wait,
    )
    .toBe("down");
  await bench.redis.start();
  await expect.poll(ends, wait).toMatchObject([{ status: "succeeded", epoch: { attempt: 1 } }]);
}, 60_000);

test("an end that Redis was not there to hear is offered once it is back", async () => {
  const spec = jobSpec();
  await bench.putUpload(spec, await readFile(samplePath));
  const stopped = Promise.withResolvers<void>();
  await startWorker({
    async put(...args) {
      await bench.objects.put(...args);
      await bench.redis.stop();
      stopped.resolve();
    },
  });
  await bench.queue.submit(spec);
  await stopped.promise;
  await bench.redis.start();
  await expect.poll(ends, wait).toMatchObject([{ status: "succeeded", epoch: { attempt: 1 } }]);
}, 60_000);

test("the result of an offer that was taken stays, though the answer to it got lost with the lease", async () => {
  const spec = jobSpec();
  await bench.putUpload(spec, await readFile(samplePath));
  await bench.queue.submit(spec);
  let offers = 0;
  const queue = {
    ...bench.queue,
    async finish(...args: Parameters<typeof bench.queue.finish>) {
      offers++;
      await bench.queue.finish(...args);
      throw new Error("a lost connection, for the test");
    },
    async renew(...args: Parameters<typeof bench.queue.renew>) {
      // Until then it is held, however long the work takes.
      if (offers === 0) return bench.queue.renew(...args);
      throw new Error("a lost connection, for the test");
    },
  };
  const { stop } = await startWorker({}, { queue, leaseMs: 3000 });
  await expect.poll(() => offers, wait).toBeGreaterThan(0);
  await stop();
  const [offer, ...more] = await ends();
  expect(more).toEqual([]);
  expect(await bench.objects.head(offer!.result_key!)).toBeDefined();
}, 60_000);
