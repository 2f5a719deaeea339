import { afterAll, beforeAll, expect, test } from "vitest";
import { createDatabase, type Database } from "../../../regions/store/database.ts";
import { sql } from "../../../regions/store/drizzle.ts";
import { createFinalJobs } from "../../../regions/store/final-jobs.ts";
import { migrate } from "../../../regions/store/migrate.ts";
import { createUserHistory, type UserHistoryQuery } from "../../../regions/store/user-history.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";
import { makeRun, newJobId } from "../results/make-run.ts";

let cluster: TestCluster;
let database: Database;
const PITCH = "F0semitoneFrom27.5Hz_sma3nz_amean";
const LOUDNESS = "loudness_sma3_amean";
const JITTER = "jitterLocal_sma3nz_amean";

beforeAll(async () => {
  cluster = await startPostgres();
  database = createDatabase({ primaryUrl: cluster.primary.url, replicaUrl: cluster.primary.url });
  await migrate(database.primary);
}, 60_000);
afterAll(async () => {
  await database?.close();
  await cluster?.close();
});

const analysis = (userId: string, at: string, values: Record<string, number | null>) => {
  const { envelope } = makeRun({ tenantId: "ten_a", userId, jobId: newJobId(Date.parse(at)) });
  envelope.result = { ...envelope.result, features: { set: "eGeMAPSv02", values } };
  return envelope;
};
const write = (envelopes: ReturnType<typeof analysis>[]) =>
  createFinalJobs(database, () => Date.UTC(2026, 10, 21)).write(envelopes);
const read = (more: Partial<UserHistoryQuery> = {}, from = database) =>
  createUserHistory(from).read({
    tenantId: "ten_a",
    userId: "u-1",
    from: "2026-01-01",
    to: "2026-12-31",
    features: [],
    limit: 20,
    ...more,
  });

test("one end user's analyses come newest first, with the features that were asked for and how they went", async () => {
  const mine = [
    analysis("u-1", "2026-08-01T00:00:00Z", { [PITCH]: 20, [LOUDNESS]: 1 }),
    analysis("u-1", "2026-08-11T00:00:00Z", { [PITCH]: 25, [LOUDNESS]: null }),
    analysis("u-1", "2026-10-10T00:00:00Z", { [PITCH]: 55, [LOUDNESS]: 3 }),
  ];
  const failed = analysis("u-1", "2026-09-01T00:00:00Z", {});
  Object.assign(failed.job, { status: "failed", error_code: "audio_corrupt" });
  failed.result = null;
  await write([...mine, failed, analysis("u-2", "2026-09-02T00:00:00Z", { [PITCH]: 999 })]);

  const history = await read({ features: [PITCH, LOUDNESS, JITTER] });
  expect(history.data.map(({ id, status }) => [id, status])).toEqual([
    [mine[2]!.job.id, "succeeded"],
    [failed.job.id, "failed"],
    [mine[1]!.job.id, "succeeded"],
    [mine[0]!.job.id, "succeeded"],
  ]);
  expect(history.data[0]).toEqual({
    id: mine[2]!.job.id,
    status: "succeeded",
    region: "us-east",
    created_at: "2026-10-10T00:00:00.000Z",
    audio_duration_s: 1.5,
    error_code: null,
    features: { [PITCH]: 55, [LOUDNESS]: 3, [JITTER]: null },
  });
  expect(history.data[1]).not.toHaveProperty("features");
  expect(history.data[2]!.features![LOUDNESS]).toBeNull();
  expect(history.trends_truncated).toBe(false);
  const trend = history.trends![PITCH]!;
  expect(trend).toMatchObject({ count: 3, first: 20, last: 55 });
  expect(trend.mean).toBeCloseTo(100 / 3);
  // Half a semitone a day, by construction.
  expect(trend.slope_per_day).toBeCloseTo(0.5, 9);
  expect(history.trends![LOUDNESS]).toMatchObject({ count: 2, mean: 2, first: 1, last: 3 });
  expect(history.trends![LOUDNESS]!.slope_per_day).toBeCloseTo(2 / 70, 9);
  const nothing = { count: 0, mean: null, first: null, last: null, slope_per_day: null };
  expect(history.trends![JITTER]).toEqual(nothing);

  const august = await read({ from: "2026-08-01", to: "2026-08-11", features: [PITCH] });
  expect(august.data).toHaveLength(2);
  expect(august.trends![PITCH]).toMatchObject({ count: 2, last: 25 });
  const none = await read({ userId: "u-nobody", features: [PITCH] });
  expect(none).toMatchObject({ data: [], next_cursor: null, trends: { [PITCH]: nothing } });
});

test("pages go through the range once, trends come with the first, and a cursor fits only its own list", async () => {
  const at = Date.parse("2026-07-01T00:00:00Z");
  const all = Array.from({ length: 7 }, (_, i) =>
    analysis("u-many", new Date(at + Math.floor(i / 2)).toISOString(), { [PITCH]: i }),
  );
  await write(all);
  const query = { userId: "u-many", features: [PITCH] as const, limit: 3 };
  const first = await read(query);
  expect(first.trends![PITCH]!.count).toBe(7);
  const seen = first.data.map(({ id }) => id);
  let cursor = first.next_cursor;
  while (cursor !== null) {
    const page = await read({ ...query, cursor });
    expect(page).not.toHaveProperty("trends");
    seen.push(...page.data.map(({ id }) => id));
    cursor = page.next_cursor;
  }
  const newestFirst = all
    .map(({ job }) => job.id)
    .toSorted((a, b) => (a.slice(8) < b.slice(8) ? 1 : -1));
  expect(seen).toEqual(newestFirst);
  const own = first.next_cursor!;
  for (const wrong of [
    { userId: "u-1", cursor: own },
    { tenantId: "ten_b", userId: "u-many", cursor: own },
    { userId: "u-many", cursor: own.replace(/.$/, (last) => (last === "A" ? "B" : "A")) },
    { userId: "u-many", cursor: "nonsense" },
  ]) {
    await expect(read(wrong)).rejects.toMatchObject({ code: "invalid_request" });
  }
});

test("a range of days reads only the months that it touches", async () => {
  await write(
    ["2026-02-10", "2026-03-10", "2026-04-10", "2026-05-10"].map((day) =>
      analysis("u-plan", `${day}T00:00:00Z`, { [PITCH]: 1 }),
    ),
  );
  const query = {
    userId: "u-plan",
    from: "2026-03-01",
    to: "2026-03-31",
    features: [PITCH] as const,
  };
  const locked = await database.readPrimary((orm) =>
    orm.transaction(async (transaction) => {
      const march = await read(query, { ...database, read: (work) => work(transaction) });
      expect(march.data).toHaveLength(1);
      // A plan locks what it reads, until its transaction ends.
      return transaction.execute<{ name: string }>(sql`
        select distinct relname as name from pg_locks join pg_class on pg_class.oid = relation
        where pid = pg_backend_pid() and relname ~ '^(jobs|results)_\\d{4}_\\d\\d$' order by 1`);
    }),
  );
  expect(locked.map(({ name }) => name)).toEqual(["jobs_2026_03", "results_2026_03"]);
});
