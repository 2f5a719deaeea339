import { afterAll, beforeAll, expect, test } from "vitest";
import { hashApiKey } from "../../../shared/contracts/api-key.ts";
import { createRedis, type Redis } from "../../../regions/results/redis.ts";
import { advisoryLocks } from "../../../regions/store/migrate.ts";
import { openPool, type Pool } from "../../../regions/store/postgres-pool.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";
import { startRedis, untilReady, type TestRedis } from "../../support/redis.ts";
import { startEdgeDouble, type EdgeDouble } from "./edge-double.ts";
import { startKeeper, type KeeperProcess } from "./keeper-process.ts";
import { makeRun } from "./make-run.ts";

const outbox = "{antiphon}:outbox";
const deadOutbox = "{antiphon}:outbox:dead";
const SECRET = "s".repeat(32);

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
  await untilReady(redis);
  primary = openPool({
    url: cluster.primary.url,
    primary: true,
    applicationName: "test",
    // Of a transaction too in which a keeper starts.
    statementTimeoutMs: 50_000,
  });
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
const drained = () => expect.poll(() => redis.xlen(outbox), { timeout: 45_000 }).toBe(0);
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
  await expect.poll(() => keeper.log()).toContain("can never be written");
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
}, 90_000);

test("a keeper that is told to end does so cleanly, with work in hand too", async () => {
  await cluster.replica!.stop();
  await put(makeRun());
  await expect.poll(async () => (await redis.xpending(outbox, "writers"))[0]).toBe(1);
  expect(await keeper.end("SIGTERM")).toBe(0);
  expect(await redis.xlen(outbox)).toBe(1);
});
