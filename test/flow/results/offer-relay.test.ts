import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { withJobRows } from "../../../regions/ops/job-row.ts";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import { createEdgeCompletions } from "../../../regions/results/edge-completions.ts";
import { createOfferRelay } from "../../../regions/results/offer-relay.ts";
import { createRedis, type Redis } from "../../../regions/results/redis.ts";
import { createResultCache } from "../../../regions/results/result-cache.ts";
import { OutboxEnvelope } from "../../../shared/contracts/completion.ts";
import { startRedis, untilReady, type TestRedis } from "../../support/redis.ts";
import { startEdgeDouble, type EdgeDouble } from "./edge-double.ts";
import { startKeeper } from "./keeper-process.ts";
import { makeRun } from "./make-run.ts";

const SECRET = "link-secret-".repeat(4);
const { offers, outbox, deadOffers } = {
  offers: "{antiphon}:offers",
  outbox: "{antiphon}:outbox",
  deadOffers: "{antiphon}:offers:dead",
};

let server: TestRedis;
let redis: Redis;
let edge: EdgeDouble;
let deleted: string[];
const stops: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  server = await startRedis();
}, 30_000);
afterAll(() => server?.close());
beforeEach(async () => {
  redis = createRedis(server.url);
  await untilReady(redis);
  await redis.flushall();
  edge = await startEdgeDouble(SECRET);
  deleted = [];
});
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
  await edge.close();
  redis.disconnect();
});

function startRelay(): void {
  const stop = new AbortController();
  const relay = createOfferRelay({
    redis,
    offerCompletions: createEdgeCompletions({
      edgeUrl: edge.url,
      region: "us-east",
      linkSecrets: [SECRET],
    }),
    deleteObject: async (key) => void deleted.push(key),
    eraseUpload: async (key) => void deleted.push(key),
    cache: createResultCache({ redis, readObject: async () => undefined }),
    logger: pino({ level: "silent" }),
    metrics: createMetrics(),
    stream: {
      blockMs: 100,
      claimAfterMs: 200,
      youngClaimAfterMs: 0,
      graceMs: 100,
      backoff: { minMs: 10, maxMs: 50 },
    },
  });
  const running = relay.run(stop.signal);
  stops.push(() => {
    stop.abort();
    return running;
  });
}

/** As the queue's finish.lua does. */
async function offer(run = makeRun(), state: { dispatch?: number; attempt?: number } = {}) {
  const { job_id, epoch } = run.offer;
  const { dispatch, attempt } = { ...epoch, ...state };
  await redis.eval(
    withJobRows(`
      local row = new_row()
      row[DISPATCH], row[ATTEMPT], row[STATUS] = tonumber(ARGV[1]), tonumber(ARGV[2]), 'offered'
      return redis.call('SET', KEYS[1], record_of(row))`),
    1,
    `{antiphon}:job:${job_id}`,
    dispatch,
    attempt,
  );
  await redis.xadd(offers, "*", "offer", JSON.stringify(run));
  return run;
}
const length = (stream: string) => redis.xlen(stream);
const fieldOf = (field: string) => (id: string) =>
  redis.eval(
    withJobRows(`return row_of(redis.call('GET', KEYS[1]))[${field}]`),
    1,
    `{antiphon}:job:${id}`,
  );
const statusOf = fieldOf("STATUS");
const dispatchOf = fieldOf("DISPATCH");

test("an accepted run becomes final in Redis, goes into the outbox once, and its offer leaves", async () => {
  const run = await offer();
  startRelay();
  await expect.poll(() => length(outbox)).toBe(1);
  expect(await length(offers)).toBe(0);
  const [[, fields]] = (await redis.xrange(outbox, "-", "+")) as [[string, string[]]];
  expect(fields[0]).toBe("envelope");
  expect(JSON.parse(fields[1]!)).toEqual(run.envelope);
  expect(await statusOf(run.offer.job_id)).toBe("succeeded");
  expect(await redis.ttl(`{antiphon}:job:${run.offer.job_id}`)).toBeGreaterThan(86_000);
  expect(JSON.parse((await redis.get(`antiphon:result:${run.offer.job_id}`))!)).toEqual(
    run.envelope.result,
  );
  expect(deleted).toEqual([]);
});

test("a run of a job that was canceled meanwhile goes on as canceled, and leaves nothing of its result", async () => {
  const run = makeRun();
  edge.canceled.add(run.offer.job_id);
  await offer(run);
  startRelay();
  await expect.poll(() => length(outbox)).toBe(1);
  expect(await length(offers)).toBe(0);
  const [[, fields]] = (await redis.xrange(outbox, "-", "+")) as [[string, string[]]];
  const envelope = OutboxEnvelope.parse(JSON.parse(fields[1]!));
  expect(envelope).toMatchObject({
    job: {
      id: run.offer.job_id,
      status: "canceled",
      epoch: run.offer.epoch,
      result_key: null,
      audio_sha256: null,
      usd: 0,
    },
    result: null,
    usage: [],
  });
  expect(deleted).toEqual([run.offer.result_key]);
  expect(await statusOf(run.offer.job_id)).toBe("canceled");
  expect(await redis.exists(`antiphon:result:${run.offer.job_id}`)).toBe(0);
});

test("an offer that cannot be decided yet comes again, and holds up no other meanwhile", async () => {
  const [waiting, ...others] = [makeRun(), makeRun(), makeRun()];
  edge.undecided.add(waiting!.offer.job_id);
  await offer(waiting);
  for (const run of others) await offer(run);
  startRelay();
  await expect.poll(() => length(outbox)).toBe(2);
  const later = await offer();
  await expect.poll(() => length(outbox)).toBe(3);
  expect(edge.finals.has(later.offer.job_id)).toBe(true);
  expect(await length(offers)).toBe(1);
  edge.undecided.clear();
  await expect.poll(() => length(offers)).toBe(0);
  expect(await length(outbox)).toBe(4);
});

test("a run that another one beat, or that nobody knows, leaves nothing behind", async () => {
  const [beaten, unknown] = [makeRun({ attempt: 2 }), makeRun()];
  edge.finals.set(beaten.offer.job_id, { dispatch: 2, attempt: 1 });
  edge.known = new Set([beaten.offer.job_id]);
  await offer(beaten);
  await offer(unknown);
  startRelay();
  await expect.poll(() => length(offers)).toBe(0);
  await expect.poll(() => deleted.length).toBe(2);
  expect(new Set(deleted)).toEqual(new Set([beaten.offer.result_key, unknown.offer.result_key]));
  expect(await redis.keys("*job*")).toEqual([]);
  expect(await redis.keys("*result*")).toEqual([]);
  expect(await length(outbox)).toBe(0);
});

test("dropping a beaten run leaves the state of the newer run of the same job alone", async () => {
  const run = makeRun();
  edge.finals.set(run.offer.job_id, { dispatch: 2, attempt: 1 });
  await offer(run, { dispatch: 2, attempt: 1 });
  startRelay();
  await expect.poll(() => length(offers)).toBe(0);
  expect(await dispatchOf(run.offer.job_id)).toBe(2);
});

test("while the edge is away offers stay, and all of them arrive once it is back", async () => {
  edge.away = true;
  for (let i = 0; i < 150; i++) await offer();
  startRelay();
  await expect.poll(async () => (await redis.xpending(offers, "keepers"))[0]).toBe(100);
  expect(await length(offers)).toBe(150);
  edge.away = false;
  await expect.poll(() => length(outbox)).toBe(150);
  expect(await length(offers)).toBe(0);
  expect(edge.finals.size).toBe(150);
});

test("an offer that can never be made goes to the dead letters and holds nobody up", async () => {
  const runs = await Promise.all([offer(), offer(), offer()]);
  edge.invalid.add(runs[1]!.offer.job_id);
  await redis.xadd(offers, "*", "offer", "{not json");
  await redis.xadd(offers, "*", "offer", JSON.stringify({ ...makeRun(), offer: makeRun().offer }));
  startRelay();
  await expect.poll(() => length(outbox)).toBe(2);
  await expect.poll(() => length(deadOffers)).toBe(3);
  expect(await length(offers)).toBe(0);
  const reasons = (await redis.xrange(deadOffers, "-", "+")).map(([, fields]) => fields![1]);
  expect(reasons.join("; ")).toMatch(/not JSON.*custom.*invalid_request/);
});

test("two keepers at once, and a Redis that restarts, make no second outbox entry", async () => {
  startRelay();
  startRelay();
  for (let i = 0; i < 50; i++) await offer();
  await expect.poll(() => length(outbox)).toBeGreaterThan(0);
  await server.stop();
  await server.start();
  await expect.poll(() => length(offers).catch(() => -1)).toBe(0);
  const entries = await redis.xrange(outbox, "-", "+");
  const ids = entries.map(
    ([, fields]) => (JSON.parse(fields![1]!) as { job: { id: string } }).job.id,
  );
  expect(ids).toHaveLength(50);
  expect(new Set(ids).size).toBe(50);
});

test("a relay that is told to stop ends, wherever it is in coming back to a Redis that is away", async () => {
  for (let i = 0; i < 10; i++) startRelay();
  const reading = async () => ((await redis.client("LIST")) as string).match(/cmd=xread /g)?.length;
  await expect.poll(reading).toBe(10);
  await server.stop();
  const ended: Promise<unknown>[] = [];
  try {
    for (const stop of stops.splice(0)) {
      ended.push(stop());
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    await Promise.all(ended);
  } finally {
    await server.start();
  }
});

test("a keeper killed between verdict and settling offers again, and one outbox entry is there in the end", async () => {
  // Without a database, and so not ready; that keeps it from nothing else.
  const environment = {
    REDIS_URL: server.url,
    DATABASE_URL: "postgres://antiphon:x@127.0.0.1:9/antiphon",
    DATABASE_REPLICA_URL: "postgres://antiphon:x@127.0.0.1:9/antiphon",
    EDGE_URL: edge.url,
    LINK_SECRETS: SECRET,
  };
  const { offer: made } = await offer();
  const asked = new Promise<void>((resolve) => {
    edge.beforeAnswer = () => {
      resolve();
      return new Promise(() => undefined);
    };
  });
  const first = await startKeeper(environment);
  await asked;
  expect(await first.end("SIGKILL")).toBeNull();
  expect(await length(offers)).toBe(1);
  expect(await length(outbox)).toBe(0);

  edge.beforeAnswer = async () => undefined;
  const second = await startKeeper(environment);
  await expect.poll(() => length(outbox)).toBe(1);
  expect(await length(offers)).toBe(0);
  expect(edge.offered).toEqual([made.job_id, made.job_id]);
  const ready = await fetch(`${second.opsUrl}/readyz`);
  expect(ready.status).toBe(503);
  expect(await ready.json()).toMatchObject({
    checks: { redis: "ok", database: "failed", schema: "failed" },
  });
  expect((await fetch(`${second.opsUrl}/healthz`)).status).toBe(200);
  const metrics = await (await fetch(`${second.opsUrl}/metrics`)).text();
  expect(metrics).toContain('antiphon_offers_total{verdict="accepted"} 1');
  expect(metrics).toContain('antiphon_stream_entries{stream="{antiphon}:outbox"} 1');
  expect(await second.end("SIGTERM")).toBe(0);
  expect(await length(outbox)).toBe(1);
}, 60_000);
