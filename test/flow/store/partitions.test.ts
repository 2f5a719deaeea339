import { afterAll, beforeAll, expect, test } from "vitest";
import { createDatabase, type Database } from "../../../regions/store/database.ts";
import { createWebhookDeliveries } from "../../../regions/store/webhook-deliveries.ts";
import { makeDelivery } from "../webhooks/make-delivery.ts";
import { createFinalJobs } from "../../../regions/store/final-jobs.ts";
import { migrate } from "../../../regions/store/migrate.ts";
import {
  addMonths,
  dropPartitions,
  keepPartitions,
  monthOf,
} from "../../../regions/store/partitions.ts";
import { partitionedTables } from "../../../regions/store/schema.ts";
import { createTenants } from "../../../regions/store/tenants.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";
import { makeRun, newJobId } from "../results/make-run.ts";

let cluster: TestCluster;
let database: Database;

beforeAll(async () => {
  cluster = await startPostgres({ replica: true });
  database = createDatabase({ primaryUrl: cluster.primary.url, replicaUrl: cluster.primary.url });
  await migrate(database.primary);
}, 60_000);
afterAll(async () => {
  await database?.close();
  await cluster?.close();
});

const NOVEMBER = Date.UTC(2026, 10, 21);
const at = (month: string) => Date.parse(`${month}-10T00:00:00Z`);
const months = async (table: string) =>
  (
    await database.primary<{ name: string }[]>`select relname as name from pg_inherits
      join pg_class on pg_class.oid = inhrelid where inhparent = ${table}::text::regclass order by 1`
  ).map(({ name }) => name.slice(-7).replace("_", "-"));
const row = async (id: string) =>
  (await database.primary`select tableoid::regclass::text as part from jobs where id = ${id}`)[0];
const clear = () => dropPartitions(database.primary, "9999-12");

test("a keeper that slept for months makes what is missing and drops what is past its two years, at once", async () => {
  await clear();
  await keepPartitions(database.primary, NOVEMBER);
  const before = ["2026-10", "2026-11", "2026-12", "2027-01", "2027-02"];
  for (const table of partitionedTables) expect(await months(table)).toEqual(before);
  const old = makeRun({ jobId: newJobId(at("2026-10")) });
  await createFinalJobs(database, () => NOVEMBER).write([old.envelope]);

  // The month that is 24 months old still has rows that are not.
  const twoYearsOn = Date.UTC(2028, 9, 31, 23, 59);
  expect(await keepPartitions(database.primary, twoYearsOn)).toMatchObject({ dropped: [] });
  expect(await row(old.offer.job_id)).toBeDefined();

  const asleep = Date.UTC(2028, 11, 1);
  const both = await Promise.all([
    keepPartitions(database.primary, asleep),
    keepPartitions(database.primary, asleep),
  ]);
  const dropped = both.flatMap((each) => each.dropped);
  expect(dropped.toSorted()).toEqual(
    partitionedTables.flatMap((table) => [`${table}_2026_10`, `${table}_2026_11`]).toSorted(),
  );
  for (const table of partitionedTables) {
    expect(await months(table)).toEqual([
      "2026-12",
      "2027-01",
      "2027-02",
      "2028-09",
      "2028-10",
      "2028-11",
      "2028-12",
      "2029-01",
      "2029-02",
      "2029-03",
    ]);
  }
  expect(await row(old.offer.job_id)).toBeUndefined();
});

test("a row of a month without a partition finds its place, whichever month it is and whoever writes beside it", async () => {
  await clear();
  const writers = [
    createFinalJobs(database, () => NOVEMBER),
    createFinalJobs(database, () => NOVEMBER),
  ];
  const wanted = ["2026-11", "2026-06", "2025-02", "2026-11"];
  const runs = wanted.map((month) => makeRun({ jobId: newJobId(at(month)) }));
  const answers = await Promise.all(
    writers.map((writer) => writer.write(runs.map(({ envelope }) => envelope))),
  );
  expect(answers.map(({ refused }) => refused)).toEqual([[], []]);
  for (const [i, { offer }] of runs.entries()) {
    expect(await row(offer.job_id)).toEqual({ part: `jobs_${wanted[i]!.replace("-", "_")}` });
  }
});

test("the state of a webhook's delivery finds its place too, in the month of its job", async () => {
  await clear();
  const { offer } = makeRun({ jobId: newJobId(at("2025-03")) });
  const row = makeDelivery(offer, "a".repeat(32));
  const deliveries = createWebhookDeliveries(database);
  expect((await deliveries.write([row])).refused).toEqual([]);
  // Whoever has written to a month believes that its partition is there.
  await clear();
  expect((await deliveries.write([row])).refused).toEqual([]);
  const found = await database.primary`
    select tableoid::regclass::text as part from webhook_deliveries where id = ${row.id}`;
  expect(found).toEqual([{ part: "webhook_deliveries_2025_03" }]);
});

test("an admin act finds its place in the audit log, also when no keeper has been about for months", async () => {
  await clear();
  const tenants = createTenants(database);
  const tenant = { id: "ten_late", name: "Late", residency: "global" as const };
  await tenants.create(tenant, { actor: "key_operator" }, { timeoutMs: 20_000 });
  const acts = await database.primary`select tableoid::regclass::text as part from audit_log`;
  expect(acts).toEqual([{ part: `audit_log_${monthOf(Date.now()).replace("-", "_")}` }]);
});

test("a partition that somebody reads is dropped the next time, and holds nobody up meanwhile", async () => {
  await clear();
  const month = addMonths("2026-11", -30);
  await createFinalJobs(database, () => NOVEMBER).write([
    makeRun({ jobId: newJobId(at("2026-11")) }).envelope,
  ]);
  await database.primary.unsafe(
    `create table jobs_${month.replace("-", "_")} partition of jobs for values from ('${month}-01') to ('${addMonths(month, 1)}-01')`,
  );
  let dropping: Promise<unknown> | undefined;
  await database.primary.begin(async (sql) => {
    await sql`select count(*) from jobs`;
    dropping = keepPartitions(database.primary, NOVEMBER).catch((error: unknown) => error);
    expect(await dropping).toMatchObject({ code: "55P03" });
  });
  expect((await keepPartitions(database.primary, NOVEMBER)).dropped).toEqual([
    `jobs_${month.replace("-", "_")}`,
  ]);
});
