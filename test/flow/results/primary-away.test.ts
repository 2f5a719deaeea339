import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createDeletionOrders } from "../../../regions/results/deletion-orders.ts";
import { groups, resultKeys } from "../../../regions/results/result-keys.ts";
import { createTombstones } from "../../../regions/results/tombstones.ts";
import { createObjectStore } from "../../../regions/store/object-store.ts";
import { openPool, type Pool } from "../../../regions/store/postgres-pool.ts";
import { makeDelivery } from "../webhooks/make-delivery.ts";
import { webhookGroups, webhookKeys } from "../../../regions/webhooks/webhook-keys.ts";
import { createRedisQueue } from "../../../regions/queue/redis-queue.ts";
import { QueueFullError } from "../../../regions/queue/queue-port.ts";
import {
  MAX_ENVELOPE_RESULT_BYTES,
  type UsageEnvelope,
} from "../../../shared/contracts/completion.ts";
import { mintSpeechId } from "../../../shared/contracts/ids.ts";
import { findRegion } from "../../../shared/contracts/regions.ts";
import { jobSpec } from "../../contract/queue-bench.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";
import { orderOf } from "../deletions/deletion-bench.ts";
import { BUCKET, CREDENTIALS, startStore, type RunningStore } from "../object-store/start-store.ts";
import { startEdgeDouble, type EdgeDouble } from "./edge-double.ts";
import { startKeeper, type KeeperProcess } from "./keeper-process.ts";
import { makeRun } from "./make-run.ts";

/*
 * Ten minutes of load that come while the primary is away, put in at once. The keeper has a heap into which a part of it fits and
 * not the whole; Redis, at some point, no memory for more.
 */

const SECRET = "s".repeat(32);
/** Runs that go through the relay, as workers leave them. */
const OFFERED = 1_500;
/** What waits in the outbox besides: runs with small results, with the largest that an envelope takes, and with larger ones. */
const SMALL = 6_000;
const FULL = 4_000;
const LARGE = 12;
const SPOKEN = 18_000;
const DELIVERIES = 2_500;
const MEBIBYTE = 2 ** 20;
/** Of the keeper: 33 MiB when it has nothing to do. */
const HEAP_MIB = 176;

let cluster: TestCluster;
let server: TestRedis;
let store: RunningStore;
let edge: EdgeDouble;
let redis: Redis;
let primary: Pool;
let keeper: KeeperProcess;

beforeAll(async () => {
  [cluster, server, edge, store] = await Promise.all([
    startPostgres({ replica: true }),
    startRedis(),
    startEdgeDouble(SECRET),
    startStore(),
  ]);
  redis = new Redis(server.url);
  primary = openPool({ url: cluster.primary.url, primary: true, applicationName: "test" });
  keeper = await startKeeper(
    {
      REDIS_URL: server.url,
      DATABASE_URL: cluster.clusterUrl,
      DATABASE_REPLICA_URL: cluster.replica!.url,
      EDGE_URL: edge.url,
      LINK_SECRETS: SECRET,
      S3_ENDPOINT: store.endpoint,
      S3_BUCKET: BUCKET,
      S3_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      S3_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
    },
    [`--max-old-space-size=${HEAP_MIB}`],
  );
}, 90_000);
afterAll(async () => {
  await keeper?.end("SIGKILL");
  redis?.disconnect();
  await primary?.end();
  await Promise.all([cluster?.close(), server?.close(), edge?.close(), store?.remove()]);
});

const region = findRegion("us-east")!;
const tenantId = "ten_load";

/** Appends to a stream; settles to what each entry's size is. */
async function append(
  stream: string,
  field: string,
  count: number,
  make: (n: number) => unknown,
): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (let at = 0; at < count; at += 500) {
    const texts = Array.from({ length: Math.min(500, count - at) }, (_, n) =>
      JSON.stringify(make(at + n)),
    );
    const step = redis.pipeline();
    for (const text of texts) step.xadd(stream, "*", field, text);
    const ids = (await step.exec())!;
    for (const [n, [error, id]] of ids.entries()) {
      if (error) throw error;
      sizes.set(id as string, texts[n]!.length);
    }
  }
  return sizes;
}

const runOf = (bytes: number) => makeRun({ tenantId, marker: "x".repeat(bytes) });
const full = "x".repeat(MAX_ENVELOPE_RESULT_BYTES - 200);
function fullRun() {
  const run = makeRun({ tenantId });
  return { ...run.envelope, result: { note: full, epoch: run.envelope.job.epoch } };
}
const spoken = (): UsageEnvelope => ({
  v: 1,
  type: "usage",
  id: mintSpeechId(region),
  tenant_id: tenantId,
  usage: [{ stage: "speech_text", quantity: 3, unit: "character", usd: 0.001 }],
});
const deliveryOf = (n: number) =>
  makeDelivery(makeRun({ tenantId }).offer, n.toString(16).padStart(32, "0"));

/** What a group's consumers have taken and not removed: entries, and bytes of them. */
async function inHand(stream: string, group: string, sizes: ReadonlyMap<string, number>) {
  const pending = (await redis.xpending(stream, group, "-", "+", 10_000)) as [string][];
  const bytes = pending.reduce((sum, [id]) => sum + (sizes.get(id) ?? 0), 0);
  return { entries: pending.length, bytes };
}

test("a primary that is away under load costs the keeper and Redis bounded memory, and afterwards nothing is missing", async () => {
  const queue = createRedisQueue({ url: server.url, region: region.id });
  const objects = createObjectStore({
    region: region.id,
    bucket: BUCKET,
    endpoint: store.endpoint,
    ...CREDENTIALS,
  });
  const ready = async () => (await fetch(`${keeper.opsUrl}/readyz`)).status;
  await expect.poll(ready).toBe(200);
  await expect
    .poll(() =>
      queue.ping().then(
        () => true,
        () => false,
      ),
    )
    .toBe(true);
  await cluster.primary.stop();

  const { offers, outbox } = resultKeys;
  const sizes = await append(outbox, "envelope", SMALL, () => runOf(600).envelope);
  for (const [id, size] of await append(outbox, "envelope", FULL, fullRun)) sizes.set(id, size);
  for (const [id, size] of await append(outbox, "envelope", SPOKEN, spoken)) sizes.set(id, size);
  const large = Array.from({ length: LARGE }, () => makeRun({ tenantId }).envelope);
  for (const { job } of large) {
    const text = JSON.stringify({ note: "y".repeat(3 * MEBIBYTE), epoch: job.epoch });
    await objects.put(job.result_key!, text, { contentType: "application/json" });
  }
  await append(outbox, "envelope", LARGE, (n) => ({ ...large[n], result: null }));
  await append(webhookKeys.rows, "row", DELIVERIES, deliveryOf);
  const asked_by = { actor: "key_who", request_id: "req_which" };
  const order = orderOf("ten_other", { user_id: "nobody" }, { asked_by });
  await createDeletionOrders(redis, createTombstones(redis)).take(order);

  // Redis is full: new jobs are refused, and what runs still comes to its end.
  edge.away = true;
  await append(offers, "offer", OFFERED, () => runOf(600));
  await redis.config("SET", "maxmemory", "1mb");
  await expect(queue.submit(jobSpec())).rejects.toBeInstanceOf(QueueFullError);
  edge.away = false;
  await expect.poll(() => redis.xlen(offers), { timeout: 60_000 }).toBe(0);
  const all = SMALL + FULL + SPOKEN + LARGE + OFFERED;
  expect(await redis.xlen(outbox)).toBe(all);
  for (const [stream, group, limit] of [
    [outbox, groups.outbox, 1_500],
    [webhookKeys.rows, webhookGroups.rows, 500],
  ] as const) {
    const held = async () => (await inHand(stream, group, sizes)).entries;
    await expect.poll(held).toBeGreaterThan(0);
    expect(await held()).toBeLessThanOrEqual(limit);
  }

  await cluster.primary.start();
  const most = { entries: 0, bytes: 0, statements: 0 };
  const look = async () => {
    const { entries, bytes } = await inHand(outbox, groups.outbox, sizes);
    const [row] = await primary`
      select count(*)::int as statements from pg_stat_activity
      where application_name = 'antiphon-keeper-us-east' and state = 'active' and query like '%written_jobs%'`;
    most.entries = Math.max(most.entries, entries);
    most.bytes = Math.max(most.bytes, bytes);
    most.statements = Math.max(most.statements, row!["statements"] as number);
    return (await redis.xlen(outbox)) + (await redis.xlen(webhookKeys.rows));
  };
  while ((await look()) > 0) {
    await Promise.race([
      sleep(20),
      keeper.exited.then((code) => {
        throw new Error(`the keeper ended with ${code}: ${keeper.log().slice(-3000)}`);
      }),
    ]);
  }
  expect(most.entries).toBeLessThanOrEqual(1_500);
  expect(most.bytes).toBeLessThanOrEqual(1_500 * (MAX_ENVELOPE_RESULT_BYTES + 2_000));
  expect(most.statements).toBeLessThanOrEqual(3);

  const jobs = SMALL + FULL + LARGE + OFFERED;
  const [row] = await primary`
    select (select count(*)::int from jobs where tenant_id = ${tenantId}) as jobs,
      (select count(*)::int from results where tenant_id = ${tenantId}) as results,
      (select count(*)::int from results where tenant_id = ${tenantId}
        and length(result ->> 'note') = ${3 * MEBIBYTE}) as large,
      (select count(*)::int from usage_events where tenant_id = ${tenantId}) as usage,
      (select count(*)::int from webhook_deliveries where tenant_id = ${tenantId}) as deliveries`;
  expect(row).toEqual({
    jobs,
    results: jobs,
    large: LARGE,
    usage: 2 * jobs + SPOKEN,
    deliveries: DELIVERIES,
  });
  await redis.config("SET", "maxmemory", "0");
  const acts = () => primary`select actor, request_id from audit_log where target = ${order.id}`;
  await expect.poll(acts).toEqual([{ actor: "key_who", request_id: "req_which" }]);
  expect(await redis.xlen(resultKeys.deadOutbox)).toBe(0);
  expect((await queue.submit(jobSpec())).duplicate).toBe(false);
  await queue.close();
  objects.close();
}, 240_000);
