import { afterAll, beforeAll, expect, test } from "vitest";
import { createRetention } from "../../../regions/deletions/create-retention.ts";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import { createEraseJobs } from "../../../regions/results/erase-jobs.ts";
import { createDatabase, type Database } from "../../../regions/store/database.ts";
import { createFinalJobs } from "../../../regions/store/final-jobs.ts";
import { migrate } from "../../../regions/store/migrate.ts";
import { ensurePartitions, monthOf } from "../../../regions/store/partitions.ts";
import { createRetentionStore } from "../../../regions/store/retention.ts";
import { createTenants } from "../../../regions/store/tenants.ts";
import { findRegion } from "../../../shared/contracts/regions.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";
import { silent, startRegionBench, type RegionBench } from "../api/region-bench.ts";
import { makeRun, newJobId } from "../results/make-run.ts";

const DAY_MS = 86_400_000;
let cluster: TestCluster;
let bench: RegionBench;
let database: Database;

beforeAll(async () => {
  [cluster, bench] = await Promise.all([startPostgres({ replica: true }), startRegionBench()]);
  database = createDatabase({ primaryUrl: cluster.primary.url, replicaUrl: cluster.primary.url });
  await migrate(database.primary);
  await ensurePartitions(database.primary, [monthOf(Date.now())]);
}, 90_000);
afterAll(async () => {
  await database?.close();
  await Promise.all([bench?.close(), cluster?.close()]);
});

test("what is past its tenant's retention goes, and nothing else of anyone's", async () => {
  const by = { actor: "test" };
  const tenants = createTenants(database);
  for (const id of ["ten_short", "ten_other"]) {
    await tenants.create({ id, name: id, residency: "global" }, by);
  }
  const retention = { results_days: 2, audio_days: 5 };
  const changed = await tenants.change({ id: "ten_short", retention }, by);
  expect(changed.retention).toEqual(retention);
  expect((await tenants.settings("ten_other")).retention).toEqual({});

  const now = Date.now();
  const jobs = { old: newJobId(now - 3 * DAY_MS), young: newJobId(now - DAY_MS) };
  const other = newJobId(now - 3 * DAY_MS);
  await createFinalJobs(database).write([
    makeRun({ tenantId: "ten_short", jobId: jobs.old }).envelope,
    makeRun({ tenantId: "ten_short", jobId: jobs.young }).envelope,
    makeRun({ tenantId: "ten_other", jobId: other }).envelope,
  ]);
  const text = { contentType: "text/plain" };
  for (const tenant of ["ten_short", "ten_other"]) {
    for (const kind of ["uploads", "audio", "results", "stages/30d"]) {
      await bench.objects.put(`${kind}/global/${tenant}/a`, "a", text);
    }
  }
  const owner = { residency: "global", tenantId: "ten_short" } as const;
  const made = { engines: {}, value: { speech_ratio: 0, segments: [] } };
  const recording = { owner, sha256: "a".repeat(64) };
  await bench.stages.keep(recording, { voice_activity: "v" }, { voice_activity: made });

  let at = now;
  const keeper = createRetention({
    region: findRegion("us-east")!,
    store: createRetentionStore(database),
    redis: createEraseJobs(bench.client),
    objects: bench.objects,
    logger: silent,
    metrics: createMetrics(),
    now: () => at,
  });
  const signal = new AbortController().signal;
  const results = async () => {
    const rows = await database.primary<{ job_id: string }[]>`select job_id from results`;
    return rows.map(({ job_id }) => job_id).sort();
  };
  const mine = async () =>
    (await bench.objects.list("", 100)).filter((key) => key.includes("ten_short"));
  const cached = async () =>
    Object.keys(await bench.stages.find(recording, { voice_activity: "v" }));

  await keeper.work(signal);
  expect(await results()).toEqual([jobs.young, other].sort());
  expect(await mine()).toHaveLength(4);
  expect(await cached()).toEqual(["voice_activity"]);
  at = now + 3 * DAY_MS;
  await keeper.work(signal);
  expect(await results()).toEqual([other]);
  expect(await mine()).toEqual(["audio/global/ten_short/a", "uploads/global/ten_short/a"]);
  expect(await cached()).toEqual([]);
  at = now + 6 * DAY_MS;
  await keeper.work(signal);
  expect(await mine()).toEqual(["uploads/global/ten_short/a"]);
  expect(
    (await bench.objects.list("", 100)).filter((key) => key.includes("ten_other")),
  ).toHaveLength(4);
  const [row] = await database.primary`select count(*)::int as n from jobs`;
  expect(row).toEqual({ n: 3 });
});

test("where no result is kept, what there still was goes at once, and an upload that nobody used within a week", async () => {
  const by = { actor: "test" };
  const tenants = createTenants(database);
  await tenants.create({ id: "ten_none", name: "none", residency: "global" }, by);
  await tenants.change({ id: "ten_none", retention: { results_days: 0 } }, by);
  const now = Date.now();
  const jobId = newJobId(now - 1_000);
  await createFinalJobs(database).write([makeRun({ tenantId: "ten_none", jobId }).envelope]);
  for (const kind of ["uploads", "audio", "results"]) {
    await bench.objects.put(`${kind}/global/ten_none/a`, "a", { contentType: "text/plain" });
  }
  let at = now + 60_000;
  const keeper = createRetention({
    region: findRegion("us-east")!,
    store: createRetentionStore(database),
    redis: createEraseJobs(bench.client),
    objects: bench.objects,
    logger: silent,
    metrics: createMetrics(),
    now: () => at,
  });
  const mine = async () =>
    (await bench.objects.list("", 100)).filter((key) => key.includes("ten_none"));
  await keeper.work(new AbortController().signal);
  expect(await mine()).toEqual(["audio/global/ten_none/a", "uploads/global/ten_none/a"]);
  const [row] =
    await database.primary`select count(*)::int as n from results where job_id = ${jobId}`;
  expect(row).toEqual({ n: 0 });
  at = now + 7 * DAY_MS + 60_000;
  await keeper.work(new AbortController().signal);
  expect(await mine()).toEqual(["audio/global/ten_none/a"]);
});
