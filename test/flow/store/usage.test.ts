import { afterAll, beforeAll, expect, test } from "vitest";
import type { UsageEnvelope } from "../../../shared/contracts/completion.ts";
import { mintSpeechId } from "../../../shared/contracts/ids.ts";
import { regions } from "../../../shared/contracts/regions.ts";
import { createDatabase, type Database } from "../../../regions/store/database.ts";
import { createFinalJobs } from "../../../regions/store/final-jobs.ts";
import { migrate } from "../../../regions/store/migrate.ts";
import { dropPartitions } from "../../../regions/store/partitions.ts";
import { openPool } from "../../../regions/store/postgres-pool.ts";
import { createUsageRead } from "../../../regions/store/usage-read.ts";
import { createUsageRollup } from "../../../regions/store/usage-rollup.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";
import { makeRun, newJobId } from "../results/make-run.ts";

let cluster: TestCluster;
let database: Database;
const NOW = Date.UTC(2026, 10, 21, 12);

beforeAll(async () => {
  cluster = await startPostgres();
  database = createDatabase({ primaryUrl: cluster.primary.url, replicaUrl: cluster.primary.url });
  await migrate(database.primary);
}, 60_000);
afterAll(async () => {
  await database?.close();
  await cluster?.close();
});

const rollup = () => createUsageRollup(database, () => NOW);
const write = (...envelopes: Parameters<ReturnType<typeof createFinalJobs>["write"]>[0]) =>
  createFinalJobs(database, () => NOW).write(envelopes);
const run = (tenantId: string, at: string) =>
  makeRun({ tenantId, jobId: newJobId(Date.parse(at)) }).envelope;
const read = (tenantId: string, more: object = {}) =>
  createUsageRead(database).daily({
    tenantId,
    from: "2026-01-01",
    to: "2026-12-31",
    limit: 100,
    ...more,
  });
const decode = (events: number) => ({
  stage: "decode",
  unit: "compute_second",
  quantity: events,
  usd: events * 0.5,
  events,
});
const audio = (events: number) => ({
  stage: "audio",
  unit: "audio_second",
  quantity: events * 1.5,
  usd: 0,
  events,
});

test("usage is summed by day and stage in UTC, for its tenant alone, however often it is summed", async () => {
  await write(
    run("ten_a", "2026-11-20T00:00:00.000Z"),
    run("ten_a", "2026-11-20T23:59:59.999Z"),
    run("ten_a", "2026-11-21T00:00:00.000Z"),
    run("ten_b", "2026-11-20T10:00:00.000Z"),
  );
  expect(await read("ten_a")).toMatchObject({ as_of: null, data: [] });
  expect(await rollup().roll()).toBe(3);
  const expected = [
    { day: "2026-11-20", usd: 1, stages: [audio(2), decode(2)] },
    { day: "2026-11-21", usd: 0.5, stages: [audio(1), decode(1)] },
  ];
  const first = await read("ten_a");
  expect(first).toMatchObject({ data: expected, next_cursor: null });
  expect(Date.parse(first.as_of!)).toBeGreaterThan(Date.now() - 60_000);
  expect((await read("ten_b")).data).toEqual([
    { day: "2026-11-20", usd: 0.5, stages: [audio(1), decode(1)] },
  ]);
  await rollup().roll();
  expect((await read("ten_a")).data).toEqual(expected);
  expect((await read("ten_a", { from: "2026-11-21", to: "2026-11-21" })).data).toEqual([
    expected[1],
  ]);
});

test("a row that comes late is in its day's sum the next time, also months later, and twice the same is once", async () => {
  await write(run("ten_late", "2026-03-01T05:00:00Z"));
  await rollup().roll();
  const late = run("ten_late", "2026-03-01T06:00:00Z");
  await write(late);
  await write(late);
  await rollup().roll();
  expect((await read("ten_late")).data).toEqual([
    { day: "2026-03-01", usd: 1, stages: [audio(2), decode(2)] },
  ]);
});

test("what a transaction wrote that ended only after the sum is not forgotten", async () => {
  const slow = openPool({ url: cluster.primary.url, primary: true, applicationName: "slow" });
  try {
    await slow.begin(async (sql) => {
      await sql`insert into usage_events (job_id, stage, created_at, tenant_id, quantity, unit, usd)
        values ('job_slow', 'decode', '2026-11-20T01:00:00Z', 'ten_slow', 1, 'compute_second', 0.5)`;
      // A later transaction ends before it.
      await write(run("ten_quick", "2026-11-20T02:00:00Z"));
      await rollup().roll();
      expect((await read("ten_quick")).data).toHaveLength(1);
      expect((await read("ten_slow")).data).toEqual([]);
    });
  } finally {
    await slow.end();
  }
  await rollup().roll();
  expect((await read("ten_slow")).data).toEqual([
    { day: "2026-11-20", usd: 0.5, stages: [decode(1)] },
  ]);
});

test("keepers that come at once sum once, and not again within the pause", async () => {
  await write(run("ten_once", "2026-11-20T02:00:00Z"));
  const both = await Promise.all([rollup().roll(60_000), rollup().roll(60_000)]);
  // The test before has just summed.
  expect(both).toEqual([undefined, undefined]);
  const [one, other] = await Promise.all([rollup().roll(), rollup().roll()]);
  expect([one, other].filter((each) => each !== undefined)).toContain(1);
  expect((await read("ten_once")).data).toMatchObject([{ usd: 0.5 }]);
});

test("sums outlive the month of their events, and a row that comes after that does not replace them", async () => {
  const old = "2024-10-05";
  const events = (day: string, job: string) =>
    database.primary`insert into usage_events (job_id, stage, created_at, tenant_id, quantity, unit, usd)
      values (${job}, 'decode', ${`${day}T01:00:00Z`}::text::timestamptz, 'ten_old', 1, 'compute_second', 0.5)`;
  const place = () =>
    database.primary.unsafe(
      "create table usage_events_2024_10 partition of usage_events for values from ('2024-10-01') to ('2024-11-01')",
    );
  await place();
  await events(old, "job_1");
  await events(old, "job_2");
  await createUsageRollup(database, () => Date.UTC(2025, 0, 1)).roll();
  await dropPartitions(database.primary, "2024-11");
  await place();
  await events(old, "job_3");
  await rollup().roll();
  const [row] =
    await database.primary`select events::int from usage_daily where tenant_id = 'ten_old'`;
  expect(row).toEqual({ events: 2 });
});

test("usage of speech, which is no job, is written once by its id and stage", async () => {
  const at = Date.parse("2026-11-20T09:00:00Z");
  const entry: UsageEnvelope = {
    v: 1,
    type: "usage",
    id: mintSpeechId(regions[1]!, {
      now: () => at,
      randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
    }),
    tenant_id: "ten_speaks",
    usage: [
      { stage: "speech", quantity: 0.25, unit: "compute_second", usd: 0.1 },
      { stage: "speech_text", quantity: 40, unit: "character", usd: 0 },
    ],
  };
  expect((await write(entry, run("ten_speaks", "2026-11-20T09:00:00Z"), entry)).refused).toEqual(
    [],
  );
  await write(entry);
  await rollup().roll();
  const [day] = (await read("ten_speaks")).data;
  expect(day).toMatchObject({ day: "2026-11-20", usd: 0.6 });
  expect(day!.stages.map(({ stage, events }) => [stage, events])).toEqual([
    ["audio", 1],
    ["decode", 1],
    ["speech", 1],
    ["speech_text", 1],
  ]);
  const absurd = { ...entry, id: entry.id.replace(/spc_..._......../, "spc_euw_ffffffff") };
  expect((await write(absurd)).refused).toHaveLength(1);
});

test("pages of days go through the whole range, and take no cursor but their own", async () => {
  const days = ["2026-02-01", "2026-02-03", "2026-02-04", "2026-02-20", "2026-03-01"];
  await write(...days.map((day) => run("ten_pages", `${day}T10:00:00Z`)));
  await rollup().roll();
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await read("ten_pages", { limit: 2, cursor });
    expect(page.data.length).toBeLessThanOrEqual(2);
    seen.push(...page.data.map(({ day }) => day));
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  expect(seen).toEqual(days);
  const own = (await read("ten_pages", { limit: 2 })).next_cursor!;
  const [body, tag] = own.split(".") as [string, string];
  const forged = Buffer.from(JSON.stringify("2026-02-30")).toString("base64url");
  const wrong = [
    { cursor: own, from: "2026-01-02" },
    { cursor: `${forged}.${tag}` },
    { cursor: `${body}.${"A".repeat(16)}` },
    { cursor: "x" },
  ];
  for (const query of wrong) {
    await expect(read("ten_pages", query)).rejects.toMatchObject({ code: "invalid_request" });
  }
  await expect(read("ten_a", { cursor: own })).rejects.toMatchObject({ code: "invalid_request" });
});
