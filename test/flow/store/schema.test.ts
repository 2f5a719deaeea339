import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { createDatabase, type Database } from "../../../regions/store/database.ts";
import { isDatabaseAway } from "../../../regions/store/database-error.ts";
import { createFinalJobs } from "../../../regions/store/final-jobs.ts";
import { migrate } from "../../../regions/store/migrate.ts";
import {
  addMonths,
  currentMonths,
  ensurePartitions,
  monthOf,
} from "../../../regions/store/partitions.ts";
import { partitionedTables } from "../../../regions/store/schema.ts";
import { openPool } from "../../../regions/store/postgres-pool.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";
import { makeRun, newJobId } from "../results/make-run.ts";

let cluster: TestCluster;
let database: Database;

beforeAll(async () => {
  cluster = await startPostgres();
  database = createDatabase({ primaryUrl: cluster.primary.url, replicaUrl: cluster.primary.url });
}, 60_000);
afterAll(async () => {
  await database?.close();
  await cluster?.close();
});

const write = (...runs: ReturnType<typeof makeRun>[]) =>
  createFinalJobs(database).write(runs.map(({ envelope }) => envelope));
const jobRow = async (id: string) =>
  (await database.primary`select * from jobs where id = ${id}`)[0];

test("a link that goes silent, or closes as soon as it opens, fails the statement, and the next one goes through", async () => {
  const SILENCE_MS = 20_000;
  const sockets: Socket[] = [];
  let silent = false;
  let swallowed = 0;
  let closes = false;
  const link = createServer((near) => {
    if (closes) {
      near.end();
      return;
    }
    const far = connect(cluster.primary.server.port, "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.push(from);
      from.on("error", () => undefined).on("close", () => to.destroy());
      from.on("data", (chunk) => {
        if (silent) swallowed++;
        else to.write(chunk);
      });
    }
  }).listen(0, "127.0.0.1");
  await once(link, "listening");
  const url = cluster.primary.url.replace(/:\d+\//, `:${(link.address() as AddressInfo).port}/`);
  // The silence is over when the test says so: one that a busy machine makes would be taken for it.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"], shouldAdvanceTime: true });
  onTestFinished(() => void vi.useRealTimers());
  const pool = openPool({
    url,
    primary: true,
    applicationName: "test",
    max: 1,
    silenceMs: SILENCE_MS,
  });
  try {
    await pool`select 1`;
    silent = true;
    const error = pool`select 2`.catch((reason: unknown) => reason);
    await expect.poll(() => swallowed).toBeGreaterThan(0);
    await vi.advanceTimersByTimeAsync(SILENCE_MS);
    expect(isDatabaseAway(await error)).toBe(true);
    silent = false;
    // At once, as a caller does that tries again.
    expect(await pool`select 3 as n`).toEqual([{ n: 3 }]);
    for (const socket of sockets) socket.destroy();
    closes = true;
    await expect(pool`select 4`).rejects.toSatisfy(isDatabaseAway);
    await expect(pool`select 5`).rejects.toSatisfy(isDatabaseAway);
    closes = false;
    expect(await pool`select 6 as n`).toEqual([{ n: 6 }]);
  } finally {
    await pool.end({ timeout: 1 });
    for (const socket of sockets) socket.destroy();
    link.close();
  }
});

test("two keepers that start at once run each migration once", async () => {
  const other = openPool({ url: cluster.primary.url, primary: true, applicationName: "other" });
  try {
    const ran = await Promise.all([migrate(database.primary), migrate(other), migrate(other)]);
    const files = await readdir(new URL("../../../regions/store/migrations/", import.meta.url));
    expect(ran.flat()).toEqual(files.sort());
  } finally {
    await other.end();
  }
  expect(await migrate(database.primary)).toEqual([]);
});

test("partitions are made from the last month to three ahead, once, whoever makes them", async () => {
  const months = currentMonths(Date.UTC(2026, 10, 21));
  expect(months).toEqual(["2026-10", "2026-11", "2026-12", "2027-01", "2027-02"]);
  const made = await Promise.all([
    ensurePartitions(database.primary, months),
    ensurePartitions(database.primary, months),
  ]);
  expect(made.flat().sort()).toHaveLength(partitionedTables.length * months.length);
  expect(new Set(made.flat()).size).toBe(partitionedTables.length * months.length);
  expect(made.flat()).toContain("usage_events_2027_01");
});

test("a job of a month without a partition gets one when it is written", async () => {
  const month = addMonths(monthOf(Date.now()), -7);
  const run = makeRun({ jobId: newJobId(Date.parse(`${month}-15T00:00:00Z`)) });
  expect((await write(run)).refused).toEqual([]);
  const [row] =
    await database.primary`select tableoid::regclass::text as part from jobs where id = ${run.offer.job_id}`;
  expect(row?.part).toBe(`jobs_${month.replace("-", "_")}`);
});

test("a partition that retention dropped behind the writer's back is made again", async () => {
  const finalJobs = createFinalJobs(database);
  const month = addMonths(monthOf(Date.now()), -9);
  const at = Date.parse(`${month}-15T00:00:00Z`);
  await finalJobs.write([makeRun({ jobId: newJobId(at) }).envelope]);
  await database.primary.unsafe(`drop table jobs_${month.replace("-", "_")}`);
  const { envelope } = makeRun({ jobId: newJobId(at) });
  expect((await finalJobs.write([envelope])).refused).toEqual([]);
  expect(await jobRow(envelope.job.id)).toBeDefined();
});

test("an older epoch never replaces a newer one, in whatever order and batch they come", async () => {
  const jobId = newJobId();
  const [first, second, third] = [
    makeRun({ jobId, dispatch: 1, attempt: 2 }),
    makeRun({ jobId, dispatch: 2, attempt: 1 }),
    makeRun({ jobId, dispatch: 1, attempt: 3 }),
  ];
  await write(first);
  await write(third, second, first);
  await write(third);
  expect(await jobRow(jobId)).toMatchObject({ dispatch: 2, attempt: 1 });
  const rows = await database.primary`
    select (select count(*)::int from jobs where id = ${jobId}) as jobs,
      (select count(*)::int from results where job_id = ${jobId} and dispatch = 2) as results,
      (select count(*)::int from usage_events where job_id = ${jobId}) as usage`;
  expect(rows[0]).toEqual({ jobs: 1, results: 1, usage: 2 });
});

test("content of a tenant bound to a jurisdiction is in no table, even when a worker sends it", async () => {
  const marker = "only-for-europe";
  const bound = makeRun({ residency: "eu", tenantId: "ten_bound", marker, userId: marker });
  const free = makeRun({ marker: "may-travel" });
  expect((await write(bound, free)).refused).toEqual([]);
  const all = await database.primary.unsafe<{ found: boolean; free: boolean; jobs: number }[]>(`
    select bool_or(t like '%only-for-europe%') as found, bool_or(t like '%may-travel%') as free
    from (select j::text as t from jobs j union all select r::text from results r union all
      select u::text from usage_events u union all select a::text from audit_log a) as everything`);
  expect(all[0]).toMatchObject({ found: false, free: true });
  expect(await jobRow(bound.offer.job_id)).toMatchObject({
    status: "succeeded",
    user_id: null,
    metadata: null,
  });
  await expect(
    database.primary`update jobs set user_id = 'x' where id = ${bound.offer.job_id}`,
  ).rejects.toThrow(/jobs_content_is_global/);
});

test("what the database refuses is named, and the rest of the batch is written", async () => {
  const runs = Array.from({ length: 9 }, () => makeRun());
  // A NUL is fine in JSON and not in jsonb.
  runs[4]!.envelope.job.metadata = { note: "\u0000" };
  runs[7]!.envelope.job.id = newJobId(Date.UTC(2020, 0, 1));
  runs[8]!.envelope.job.id = newJobId(Date.now() + 90 * 86_400_000);
  const { refused } = await write(...runs);
  expect(refused.map(({ index }) => index).sort((a, b) => a - b)).toEqual([4, 7, 8]);
  for (const index of [0, 3, 5, 6])
    expect(await jobRow(runs[index]!.envelope.job.id)).toBeDefined();
});
