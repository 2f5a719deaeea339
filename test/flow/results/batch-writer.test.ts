import { afterAll, beforeAll, expect, test } from "vitest";
import { hashApiKey } from "../../../shared/contracts/api-key.ts";
import { createRedis, type Redis } from "../../../regions/results/redis.ts";
import { advisoryLocks } from "../../../regions/store/migrate.ts";
import { openPool, type Pool } from "../../../regions/store/postgres-pool.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";
import { createDeletionOrders } from "../../../regions/results/deletion-orders.ts";
import { createTombstones } from "../../../regions/results/tombstones.ts";
import { orderOf } from "../deletions/deletion-bench.ts";
import { startEdgeDouble, type EdgeDouble } from "./edge-double.ts";
import { startKeeper, type KeeperProcess } from "./keeper-process.ts";
import { makeRun } from "./make-run.ts";

const outbox = "{antiphon}:outbox";
const deadOutbox = "{antiphon}:outbox:dead";
const offers = "{antiphon}:offers";
const SECRET = "s".repeat(32);
/** Runs that end while the primary is away. */
const MANY = 4_000;

let cluster: TestCluster;
let server: TestRedis;
let redis: Redis;
let primary: Pool;
let environment: Record<string, string>;
let keeper: KeeperProcess;
let edge: EdgeDouble;

beforeAll(async () => {
  [cluster, server, edge] = await Promise.all([
    startPostgres({ replica: true }),
    startRedis(),
    startEdgeDouble(SECRET),
  ]);
  redis = createRedis(server.url);
  primary = openPool({ url: cluster.primary.url, primary: true, applicationName: "test" });
  const tenants = [
    {
      tenant: { id: "ten_demo", name: "Demo", residency: "global" },
      keys: [
        {
          key_id: "key_demo",
          key_hash: await hashApiKey("demo"),
          name: "demo",
          scopes: ["analyze"],
        },
      ],
    },
  ];
  environment = {
    REDIS_URL: server.url,
    DATABASE_URL: cluster.clusterUrl,
    DATABASE_REPLICA_URL: cluster.replica!.url,
    EDGE_URL: edge.url,
    LINK_SECRETS: SECRET,
    BOOTSTRAP_TENANTS: JSON.stringify(tenants),
  };
}, 90_000);
afterAll(async () => {
  await keeper?.end("SIGKILL");
  redis?.disconnect();
  await primary?.end();
  await Promise.all([cluster?.close(), server?.close(), edge?.close()]);
});

async function waitingForMigrations() {
  const [{ count }] = await primary<[{ count: number }]>`
    select count(*)::int from pg_locks where locktype = 'advisory' and not granted`;
  return count;
}
const put = (run: ReturnType<typeof makeRun>) =>
  redis.xadd(outbox, "*", "envelope", JSON.stringify(run.envelope));
const drained = (timeout = 20_000) => expect.poll(() => redis.xlen(outbox), { timeout }).toBe(0);
async function counts(jobId: string) {
  const [row] = await primary`
    select (select count(*)::int from jobs where id = ${jobId}) as jobs,
      (select count(*)::int from results where job_id = ${jobId}) as results,
      (select count(*)::int from usage_events where job_id = ${jobId}) as usage`;
  return row;
}

test("a keeper brings up schema, partitions and first tenants, and is then ready, without a warning", async () => {
  // It comes before there is any table, and waits for another region's keeper to make them.
  await primary.begin(async (other) => {
    await other`select pg_advisory_xact_lock(${advisoryLocks.migrations})`;
    keeper = await startKeeper(environment);
    await expect.poll(waitingForMigrations).toBe(1);
  });
  await expect
    .poll(async () => (await fetch(`${keeper.opsUrl}/readyz`)).status, { timeout: 20_000 })
    .toBe(200);
  const [row] = await primary`select tenant_id, scopes::text from api_keys`;
  expect(row).toEqual({ tenant_id: "ten_demo", scopes: "{analyze}" });
  const warnings = keeper
    .log()
    .split("\n")
    .filter((line) => !line.startsWith('{"level":"info"'));
  expect(warnings).toEqual([""]);
});

test("accepted runs of every kind get into the database, and the outbox empties", async () => {
  const runs = Array.from({ length: 30 }, () => makeRun());
  const bound = makeRun({ residency: "in", tenantId: "ten_in", marker: "stays-in-india" });
  await Promise.all([...runs, bound].map(put));
  await drained();
  for (const { offer } of runs)
    expect(await counts(offer.job_id)).toEqual({ jobs: 1, results: 1, usage: 2 });
  expect(await counts(bound.offer.job_id)).toEqual({ jobs: 1, results: 0, usage: 2 });
});

test("an entry that can never be written goes to the dead letters and holds nobody up", async () => {
  const [good, bad, late] = [makeRun(), makeRun(), makeRun()];
  bad.envelope.job.metadata = { note: "\u0000" };
  await put(good);
  await put(bad);
  await redis.xadd(outbox, "*", "envelope", "{");
  await redis.xadd(outbox, "*", "envelope", JSON.stringify({ ...makeRun().envelope, v: 2 }));
  await put(late);
  await drained();
  expect(await counts(good.offer.job_id)).toMatchObject({ jobs: 1 });
  expect(await counts(late.offer.job_id)).toMatchObject({ jobs: 1 });
  expect(await counts(bad.offer.job_id)).toMatchObject({ jobs: 0 });
  expect(await redis.xlen(deadOutbox)).toBe(3);
  expect(keeper.log()).toContain("can never be written");
});

test("a keeper killed between commit and trim: the entry is still there, and in the end there is one row", async () => {
  await cluster.replica!.stop();
  const run = makeRun();
  await put(run);
  await expect.poll(() => counts(run.offer.job_id), { timeout: 20_000 }).toMatchObject({ jobs: 1 });
  // Committed, and no replica has it.
  expect(await redis.xlen(outbox)).toBe(1);
  expect(await keeper.end("SIGKILL")).toBeNull();
  expect(await redis.xlen(outbox)).toBe(1);

  await cluster.replica!.start();
  keeper = await startKeeper(environment);
  await drained();
  expect(await counts(run.offer.job_id)).toEqual({ jobs: 1, results: 1, usage: 2 });
}, 60_000);

test("while the primary is away under load thousands of jobs go on to their ends; afterwards jobs, usage and audit log are complete", async () => {
  await cluster.primary.stop();
  // Runs that ended, as workers leave them: what the ledger is offered, accepts, and hands to the outbox.
  const ids: string[] = [];
  for (let at = 0; at < MANY; at += 500) {
    const step = redis.pipeline();
    for (let n = at; n < Math.min(MANY, at + 500); n++) {
      const run = makeRun();
      ids.push(run.offer.job_id);
      step.xadd(offers, "*", "offer", JSON.stringify(run));
    }
    await step.exec();
  }
  const asked_by = { actor: "key_who", request_id: "req_which" };
  const order = orderOf("ten_demo", { user_id: "nobody" }, { asked_by });
  await createDeletionOrders(redis, createTombstones(redis)).take(order);
  await expect.poll(() => redis.xlen(offers), { timeout: 60_000 }).toBe(0);
  expect(edge.finals.size).toBe(MANY);
  await expect.poll(() => keeper.log(), { timeout: 30_000 }).toContain("The database is away");
  expect(await redis.xlen(outbox)).toBe(MANY);

  await cluster.primary.start();
  await drained(60_000);
  const [row] = await primary`
    select (select count(*)::int from jobs j where j.id = any(wanted)) as jobs,
      (select count(*)::int from results r where r.job_id = any(wanted)) as results,
      (select count(*)::int from usage_events u where u.job_id = any(wanted)) as usage
    from (select array(select jsonb_array_elements_text(${JSON.stringify(ids)}::text::jsonb)) as wanted) as all_of_them`;
  expect(row).toEqual({ jobs: MANY, results: MANY, usage: 2 * MANY });
  const acts = () => primary`select actor, request_id from audit_log where target = ${order.id}`;
  await expect
    .poll(acts, { timeout: 10_000 })
    .toEqual([{ actor: "key_who", request_id: "req_which" }]);
  expect(await redis.xlen(deadOutbox)).toBe(3);
}, 180_000);

test("a keeper that is told to end does so cleanly, with work in hand too", async () => {
  await cluster.replica!.stop();
  await put(makeRun());
  await expect.poll(async () => (await redis.xpending(outbox, "writers"))[0]).toBe(1);
  expect(await keeper.end("SIGTERM")).toBe(0);
  expect(await redis.xlen(outbox)).toBe(1);
}, 30_000);
