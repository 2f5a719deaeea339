import { setTimeout as sleep } from "node:timers/promises";
import { ApiError } from "../../shared/errors/problem.ts";
import { createLogger } from "../../regions/ops/logger.ts";
import { createMetrics } from "../../regions/ops/metrics.ts";
import { failed } from "../../regions/queue/completion.ts";
import type { Completion, Run } from "../../regions/queue/queue-port.ts";
import { createRedisQueue } from "../../regions/queue/redis-queue.ts";
import { createWorker } from "../../regions/workers/worker.ts";
import type { RunJobOptions } from "../../regions/workers/run-job.ts";
import { REGION, type Behaviour } from "./plan-job.ts";
import { runPart } from "./run-part.ts";

/* A worker of a soak: the region's queue and worker loop, with a stand-in for the work on speech. */

const { REDIS_URL = "", WORKER_ID = "", LEASE_MS = "" } = process.env;
const leaseMs = Number(LEASE_MS);
const queue = createRedisQueue({
  url: REDIS_URL,
  region: REGION,
  leaseMs,
  onDisk: true,
  retry: { baseMs: 100, mostMs: 2000 },
});
const worker = createWorker({
  workerId: WORKER_ID,
  queue,
  objects: { delete: async () => undefined },
  runJob,
  concurrency: 16,
  leaseMs,
  graceMs: 500,
  logger: createLogger("soak-worker", REGION, "error"),
  metrics: createMetrics(),
});

async function runJob(run: Run, { signal, onProgress }: RunJobOptions): Promise<Completion> {
  const { soak, ms } = run.spec.metadata as { soak: Behaviour; ms: string };
  if (soak === "killer") process.kill(process.pid, "SIGKILL");
  onProgress(0.5);
  await sleep(Number(ms), undefined, { signal });
  if (soak === "poison") throw new ApiError("dependency_unavailable");
  if (soak === "hopeless") throw new ApiError("audio_corrupt");
  if (soak === "stumble" && run.triedBefore === 0) throw new ApiError("internal");
  return succeeded(run);
}

/** A success without a result: there was no recording. */
function succeeded(run: Run): Completion {
  const end = failed({ ...run, region: REGION, finishedAtMs: Date.now(), code: "internal" });
  const { error: _, ...offer } = end.offer;
  const { job } = end.envelope;
  return {
    offer: { ...offer, status: "succeeded" },
    envelope: { ...end.envelope, job: { ...job, status: "succeeded", error_code: null } },
  };
}

const working = worker.run();
runPart(async () => {
  worker.stop();
  await working;
  await queue.close();
});
