import { afterAll, beforeAll, expect, test } from "vitest";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import { createRedis, type Redis } from "../../../regions/results/redis.ts";
import { createSettleJobs } from "../../../regions/results/settle-jobs.ts";
import { createDatabase, type Database } from "../../../regions/store/database.ts";
import { createFinalJobs } from "../../../regions/store/final-jobs.ts";
import { createJobsRead } from "../../../regions/store/jobs-read.ts";
import { migrate } from "../../../regions/store/migrate.ts";
import { MAX_SETTLED, type SettledJob } from "../../../shared/contracts/internal-api.ts";
import { findRegion } from "../../../shared/contracts/regions.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";
import { startRedis, untilReady, type TestRedis } from "../../support/redis.ts";
import { makeRun, newJobId, type RunOptions } from "./make-run.ts";

const NOW = Date.UTC(2026, 10, 21, 12);
const HOUR_MS = 3_600_000;
let cluster: TestCluster;
let server: TestRedis;
let database: Database;
let redis: Redis;

beforeAll(async () => {
  [cluster, server] = await Promise.all([startPostgres(), startRedis()]);
  database = createDatabase({ primaryUrl: cluster.primary.url, replicaUrl: cluster.primary.url });
  redis = createRedis(server.url);
  await untilReady(redis);
  await migrate(database.primary);
}, 60_000);
afterAll(async () => {
  redis?.disconnect();
  await database?.close();
  await Promise.all([cluster?.close(), server?.close()]);
});

const runOf = (hoursAgo: number, more: RunOptions = {}) =>
  makeRun({ jobId: newJobId(NOW - hoursAgo * HOUR_MS), ...more }).envelope;
const write = (envelopes: ReturnType<typeof runOf>[]) =>
  createFinalJobs(database, () => NOW).write(envelopes);

test("jobs are told once their rows can stand for the ledger's, page by page, each once, and again where the edge was away", async () => {
  const old = Array.from({ length: MAX_SETTLED + 3 }, (_, n) => runOf(27 + n / 1000));
  const failed = runOf(30);
  failed.job.status = "failed";
  const others = [runOf(25), runOf(80), runOf(30, { residency: "eu" }), failed];
  await write([...old, ...others]);

  const told: SettledJob[][] = [];
  let nowMs = NOW;
  let away = 1;
  const { work } = createSettleJobs({
    region: findRegion("us-east")!,
    redis,
    rows: createJobsRead(database),
    tell: async (jobs) => {
      if (told.length === 1 && away-- > 0) throw new Error("the edge is away");
      told.push([...jobs]);
      return jobs.length;
    },
    metrics: createMetrics(),
    now: () => nowMs,
  });
  const { signal } = new AbortController();
  await expect(work(signal)).rejects.toThrow("the edge is away");
  told.length = 0;
  away = 0;
  expect(await work(signal)).toBe(old.length);
  expect(told.map((page) => page.length)).toEqual([MAX_SETTLED, 3]);
  expect(told.flat()).toContainEqual({
    job_id: old[0]!.job.id,
    tenant_id: "ten_demo",
    epoch: { dispatch: 1, attempt: 1 },
  });
  expect(new Set(told.flat().map(({ job_id }) => job_id))).toEqual(
    new Set(old.map(({ job }) => job.id)),
  );

  told.length = 0;
  expect(await work(signal)).toBe(0);
  nowMs += 2 * HOUR_MS;
  expect(await work(signal)).toBe(1);
  expect(told.flat().map(({ job_id }) => job_id)).toEqual([others[0]!.job.id]);
});

test("a job is read from its rows, by its own tenant alone", async () => {
  const run = runOf(40, { tenantId: "ten_rows" });
  const facts = {
    sha256: "a".repeat(64),
    bytes: 10,
    duration_s: 1.5,
    sample_rate_hz: 16_000,
    channels: 1,
    codec: "pcm_s16le",
    container: "mp4",
    level: {
      rms_dbfs: -20,
      peak_dbfs: -3,
      silent: false,
      clipping: { clipped_samples: 0, clipped_ratio: 0, longest_run: 0 },
    },
  };
  run.result = { ...run.result, audio: facts };
  const bound = runOf(40, { tenantId: "ten_bound", residency: "eu" });
  await write([run, bound]);
  const { find } = createJobsRead(database);
  expect(await find(run.job.id, "ten_rows")).toMatchObject({
    kind: "analysis",
    status: "succeeded",
    epoch: { dispatch: 1, attempt: 1 },
    user_id: "user-1",
    metadata: { note: "content" },
    result_key: run.job.result_key,
    audio: { sha256: facts.sha256, bytes: 10, duration_s: 1.5, container: "mp4" },
    finished_at: "2026-01-02T03:04:06.000Z",
    cost: { usd: 0.5, stages: [{ stage: "decode", seconds: 1, usd: 0.5 }] },
  });
  expect(await find(run.job.id, "ten_other")).toBeUndefined();
  expect(await find(newJobId(NOW - 40 * HOUR_MS), "ten_rows")).toBeUndefined();
  expect(await find(bound.job.id, "ten_bound")).toMatchObject({ audio: null });
});
