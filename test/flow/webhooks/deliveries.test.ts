import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { pino } from "pino";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { WebhookPayload } from "../../../shared/contracts/webhooks.ts";
import { mintWebhookSecret } from "../../../shared/signing/standard-webhook.ts";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import { createOfferRelay } from "../../../regions/results/offer-relay.ts";
import type { OfferEntry } from "../../../regions/results/offers.ts";
import { resultKeys } from "../../../regions/results/result-keys.ts";
import { createRedeliver } from "../../../regions/webhooks/redeliver.ts";
import { sealResult } from "../../../regions/results/sealed-result.ts";
import { webhookKeys } from "../../../regions/webhooks/webhook-keys.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";
import { makeRun } from "../results/make-run.ts";
import { startEndpoint, type WebhookEndpointServer } from "./start-endpoint.ts";
import { createWebhookBench, HOUR, idOf, payloadOf } from "./webhook-bench.ts";

let server: TestRedis;
let bench: ReturnType<typeof createWebhookBench>;
let endpoint: WebhookEndpointServer;
const closes: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  server = await startRedis();
}, 30_000);
afterAll(() => server?.close());
beforeEach(async () => {
  bench = createWebhookBench(server.url);
  await expect.poll(() => bench.redis.ping().catch(() => "")).toBe("PONG");
  await bench.redis.flushall();
  endpoint = await startEndpoint();
});
afterEach(async () => {
  await bench.close();
  await Promise.all(closes.splice(0).map((close) => close()));
  await endpoint.close();
});

const another = async () => {
  const more = await startEndpoint();
  closes.push(more.close);
  return more;
};
const received = (count: number, by = endpoint) =>
  expect.poll(() => by.received.length).toBe(count);
const rowsWith = (expected: object[]) =>
  expect.poll(() => bench.rows()).toEqual(expected.map((each) => expect.objectContaining(each)));
/** The relay of offers, before a ledger that accepts all runs but those of one job. */
function startRelay(beatenJob?: string): void {
  const relay = createOfferRelay({
    redis: bench.redis,
    offerCompletions: async (offers) =>
      offers.map(({ job_id, epoch }) => ({
        job_id,
        epoch,
        verdict: job_id === beatenJob ? "superseded" : "accepted",
      })),
    deleteObject: async () => undefined,
    eraseUpload: async () => undefined,
    cache: { write: async () => undefined },
    webhooks: true,
    logger: pino({ level: "silent" }),
    metrics: createMetrics(),
    stream: { blockMs: 50, backoff: { minMs: 5, maxMs: 20 } },
  });
  const stop = new AbortController();
  const relaying = relay.run(stop.signal);
  closes.push(() => {
    stop.abort();
    return relaying;
  });
}
const offer = (run: OfferEntry) =>
  bench.redis.xadd(resultKeys.offers, "*", "offer", JSON.stringify(run));

const answering =
  (status: number, headers: Record<string, string> = {}): WebhookEndpointServer["answer"] =>
  (response) =>
    void response.writeHead(status, headers).end();

test("an accepted run is told, signed, to the endpoints that want it and to the job's own address; a beaten one to nobody", async () => {
  const [own, uninterested, foreign] = [await another(), await another(), await another()];
  const secrets = [mintWebhookSecret(), mintWebhookSecret()];
  bench.addEndpoint(endpoint.url, { secrets });
  bench.addEndpoint(uninterested.url, { events: ["job.failed"] });
  bench.addEndpoint(foreign.url, { tenantId: "ten_other" });
  const [won, beaten] = [makeRun(), makeRun({ attempt: 2 })];
  won.webhook = { own: { url: own.url }, user_id: "user-1", metadata: { note: "content" } };
  startRelay(beaten.offer.job_id);
  for (const run of [beaten, won]) await offer(run);
  bench.start();
  await received(1);
  await received(1, own);

  const [told] = endpoint.received;
  const signed = { ...told!.headers };
  // While a secret is rotated either verifies.
  for (const secret of secrets) new Webhook(secret).verify(told!.body, signed);
  expect(() => new Webhook(mintWebhookSecret()).verify(told!.body, signed)).toThrow();
  const payload = WebhookPayload.parse(
    new Webhook(bench.tenantSecret).verify(own.received[0]!.body, own.received[0]!.headers),
  );
  expect(payload).toEqual(WebhookPayload.parse(payloadOf(told!)));
  expect(payload).toEqual({
    type: "job.succeeded",
    timestamp: won.offer.finished_at,
    data: {
      job_id: won.offer.job_id,
      kind: "analysis",
      status: "succeeded",
      region: "us-east",
      job_url: `https://api.test/v1/jobs/${won.offer.job_id}`,
      created_at: won.envelope.job.created_at,
      started_at: won.offer.started_at,
      finished_at: won.offer.finished_at,
      audio_duration_s: 1.5,
      cost_usd: 0.5,
      user_id: "user-1",
      metadata: { note: "content" },
    },
  });
  expect(idOf(told!)).not.toBe(idOf(own.received[0]!));
  await expect.poll(() => bench.redis.zcard(webhookKeys.pending)).toBe(0);
  expect(await bench.redis.xlen(resultKeys.webhooks)).toBe(0);
  expect(uninterested.received).toEqual([]);
  expect(foreign.received).toEqual([]);
});

test("the same end of a job, told again by another run, is no second webhook", async () => {
  bench.addEndpoint(endpoint.url);
  bench.start();
  const { offer } = await bench.publish();
  await received(1);
  await bench.publish(makeRun({ jobId: offer.job_id, dispatch: 2 }));
  const last = await bench.publish();
  await received(2);
  expect(payloadOf(endpoint.received[1]!).data.job_id).toBe(last.offer.job_id);
});

test("a keeper that dies between delivery and writing it down leaves the same webhook to another", async () => {
  bench.addEndpoint(endpoint.url);
  const first = bench.start({ leaseMs: 5000 });
  endpoint.answer = (response) => {
    first.die();
    response.end();
  };
  await bench.publish();
  await received(1);
  await first.end();
  endpoint.answer = answering(204);
  bench.clock.ms += 6000;
  bench.start();
  await received(2);
  expect(idOf(endpoint.received[1]!)).toBe(idOf(endpoint.received[0]!));
  await rowsWith([{ status: "delivered", response_status: 204, attempts: 1 }]);
});

test("a failing delivery is tried again with growing pauses until 72 hours are over, and then given up", async () => {
  endpoint.answer = answering(500);
  const id = bench.addEndpoint(endpoint.url);
  bench.start({ pauseAfter: { failures: 1000, ms: HOUR } });
  const began = bench.clock.ms;
  await bench.publish();
  const at: number[] = [];
  for (;;) {
    await received(at.length + 1);
    at.push(bench.clock.ms - began);
    await expect.poll(async () => (await bench.rows())[0]?.attempts).toBe(at.length);
    const [row] = await bench.rows();
    if (row!.status !== "pending") break;
    bench.clock.ms = Date.parse(row!.next_attempt_at!);
  }
  // For long enough, but not often enough to be paused.
  expect(await bench.redis.hlen(webhookKeys.stopped)).toBe(0);
  expect(at.slice(0, 5)).toEqual([0, 5000, 30_000, 155_000, 780_000]);
  expect(at.at(-1)).toBe(72 * HOUR);
  expect(at.length).toBeGreaterThan(15);
  for (let i = 6; i + 1 < at.length; i++) expect(at[i]! - at[i - 1]!).toBeLessThanOrEqual(6 * HOUR);
  expect(new Set(endpoint.received.map(idOf)).size).toBe(1);
  expect(new Set(endpoint.received.map(({ headers }) => headers["webhook-timestamp"])).size).toBe(
    at.length,
  );
  await rowsWith([{ endpoint_id: id, status: "failed", error: "refused", response_status: 500 }]);
  expect(await bench.redis.zcard(webhookKeys.pending)).toBe(0);
});

test("what an answer asks for is done: 4xx stops, 408, 429 and 503 wait as long as they say within bounds, redirects lead nowhere", async () => {
  const inner = await another();
  const cases: [WebhookEndpointServer["answer"], object][] = [
    [answering(400), { status: "failed", response_status: 400, error: "refused" }],
    [answering(401), { status: "failed", response_status: 401 }],
    [answering(408), { status: "pending", wait: 5000 }],
    [answering(429, { "retry-after": "120" }), { status: "pending", wait: 120_000 }],
    [answering(503, { "retry-after": "999999999" }), { status: "pending", wait: HOUR }],
    [answering(429, { "retry-after": "soon" }), { status: "pending", wait: 5000 }],
    [answering(500, { "retry-after": "120" }), { status: "pending", wait: 5000 }],
    [answering(307, { location: inner.url }), { status: "pending", wait: 5000 }],
    [answering(302, { location: "http://169.254.169.254/" }), { status: "pending", wait: 5000 }],
  ];
  bench.addEndpoint(endpoint.url);
  bench.start();
  for (const [answer, { wait, ...expected }] of cases as [
    WebhookEndpointServer["answer"],
    { wait?: number },
  ][]) {
    // Whatever held the target back before is over.
    bench.clock.ms += 2 * HOUR;
    endpoint.answer = answer;
    const { offer } = await bench.publish();
    const row = async () => (await bench.rows()).find(({ job_id }) => job_id === offer.job_id);
    await expect.poll(row).toMatchObject({ attempts: 1, ...expected });
    const { next_attempt_at, last_attempt_at } = (await row())!;
    const paused = next_attempt_at && Date.parse(next_attempt_at) - Date.parse(last_attempt_at!);
    expect(paused).toBe(wait ?? null);
    await bench.redis.flushall();
  }
  expect(inner.received).toEqual([]);
});

test("an endpoint that asks for a pause gets nothing else meanwhile, while others do", async () => {
  const other = await another();
  endpoint.answer = answering(429, { "retry-after": "120" });
  bench.addEndpoint(endpoint.url);
  bench.start();
  await bench.publish();
  await rowsWith([{ status: "pending", response_status: 429 }]);
  bench.addEndpoint(other.url);
  await bench.publish();
  await received(1, other);
  await bench.publish();
  await received(2, other);
  expect(endpoint.received).toHaveLength(1);
  endpoint.answer = answering(200);
  bench.clock.ms += 120_000;
  await received(4);
});

test("an endpoint that hangs, one that answers garbage, one that would speak another protocol and one that never stops answering are cut off", async () => {
  const [endless, hangs] = [await another(), await another()];
  let sent = 0;
  const chunk = Buffer.alloc(64 * 1024);
  endless.answer = (response) => {
    const more = () => {
      while (!response.destroyed) {
        sent += chunk.length;
        if (!response.write(chunk)) break;
      }
    };
    response
      .writeHead(200)
      .on("drain", more)
      .on("error", () => undefined);
    more();
  };
  hangs.answer = () => undefined;
  const garbage = createServer((socket) => {
    socket.on("error", () => undefined).once("data", () => socket.end("\0\0 what is this\r\n\r\n"));
  }).listen(0, "127.0.0.1");
  await once(garbage, "listening");
  closes.push(async () => garbage.close());
  const upgrades = createServer((socket) => {
    const head =
      "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n";
    socket.on("error", () => undefined).once("data", () => socket.write(head));
  }).listen(0, "127.0.0.1");
  await once(upgrades, "listening");
  closes.push(async () => upgrades.close());
  const names = new Map([
    [bench.addEndpoint(endless.url), "endless"],
    [bench.addEndpoint(hangs.url), "hangs"],
    [bench.addEndpoint(`http://127.0.0.1:${(garbage.address() as AddressInfo).port}/`), "garbage"],
    [
      bench.addEndpoint(`http://127.0.0.1:${(upgrades.address() as AddressInfo).port}/`),
      "upgrades",
    ],
  ]);
  bench.start({ timeoutMs: 300 });
  await bench.publish();
  await expect.poll(async () => (await bench.rows()).length).toBe(4);
  const rows = await bench.rows();
  const outcome = Object.fromEntries(
    rows.map(({ endpoint_id, status, error }) => [names.get(endpoint_id!), [status, error]]),
  );
  expect(outcome).toEqual({
    endless: ["delivered", null],
    hangs: ["pending", "timed_out"],
    garbage: ["pending", "answer_invalid"],
    upgrades: ["pending", "answer_invalid"],
  });
  await expect.poll(() => endless.open() + hangs.open()).toBe(0);
  // What the sockets' buffers took in until the connection was cut; an endless answer would go on.
  expect(sent).toBeLessThan(32 * 2 ** 20);
});

test("a flood to an endpoint that hangs delays no other endpoint, of the same tenant either", async () => {
  const hangs = await another();
  hangs.answer = () => undefined;
  bench.addEndpoint(hangs.url);
  const flood = 300;
  for (let i = 0; i < flood; i++) await bench.publish();
  bench.start({ concurrency: 64, mostOfLane: 4 });
  await received(4, hangs);
  await expect.poll(() => bench.redis.xlen(resultKeys.webhooks)).toBe(0);
  bench.addEndpoint(endpoint.url);
  const { offer } = await bench.publish();
  await received(1);
  expect(payloadOf(endpoint.received[0]!).data.job_id).toBe(offer.job_id);
  expect(hangs.received.length).toBe(4);
  expect(await bench.redis.zcard(webhookKeys.pending)).toBeGreaterThanOrEqual(flood);
});

test("jobs that name many addresses which all hang take a bounded part of the tries, and delay no other tenant", async () => {
  const hangs = await another();
  hangs.answer = () => undefined;
  const { port } = new URL(hangs.url);
  for (let i = 0; i < 160; i++) {
    const run = makeRun({ tenantId: "ten_flood" });
    run.webhook = { own: { url: `http://host-${i}.test:${port}/` } };
    await bench.publish(run);
  }
  bench.start({ concurrency: 72, resolve: async () => [{ address: "127.0.0.1", family: 4 }] });
  await expect.poll(() => bench.redis.xlen(resultKeys.webhooks)).toBe(0);
  bench.addEndpoint(endpoint.url);
  await bench.publish();
  await received(1);
  expect(hangs.received.length).toBeLessThanOrEqual(64);
});

test("an endpoint that only fails is paused with the reason, holds what comes, and goes on once it is made active", async () => {
  endpoint.answer = answering(502);
  const id = bench.addEndpoint(endpoint.url);
  const keeper = bench.start({ pauseAfter: { failures: 2, ms: 12 * HOUR } });
  await bench.publish();
  for (let tries = 1; tries <= 4; tries++) {
    await received(tries);
    await expect.poll(async () => (await bench.rows())[0]?.attempts).toBe(tries);
    if (tries < 4) bench.clock.ms += 5 * HOUR;
  }
  await expect.poll(() => bench.redis.hlen(webhookKeys.stopped)).toBe(1);
  // The database may be away: in this region it is paused all the same.
  bench.database.away = true;
  await expect(keeper.book.carry()).rejects.toThrow();
  bench.clock.ms += 10 * HOUR;
  bench.database.away = false;
  await rowsWith([{ status: "held" }]);
  await keeper.book.carry();
  expect(bench.stopped).toEqual([
    { id, status: "paused", reason: "every try failed for 15 hours; the last: HTTP 502" },
  ]);
  const later = await bench.publish();
  bench.clock.ms += HOUR;
  await expect
    .poll(async () => (await bench.rows()).map(({ status }) => status))
    .toEqual(["held", "held"]);
  expect(endpoint.received).toHaveLength(4);

  endpoint.answer = answering(200);
  Object.assign(bench.endpoints.get(id)!, { status: "active", statusSinceMs: bench.clock.ms });
  bench.clock.ms += 2000;
  await received(6);
  const jobs = endpoint.received.slice(4).map((each) => payloadOf(each).data.job_id);
  expect(jobs).toContain(later.offer.job_id);
});

test("an endpoint that answers 410 gets nothing more, whatever waits for it", async () => {
  endpoint.answer = answering(410);
  const id = bench.addEndpoint(endpoint.url);
  const keeper = bench.start({ mostOfLane: 1 });
  await bench.publish();
  await rowsWith([{ status: "failed", response_status: 410 }]);
  await bench.publish();
  await expect
    .poll(async () => (await bench.rows())[1])
    .toMatchObject({
      status: "failed",
      error: "endpoint_disabled",
      attempts: 0,
    });
  await keeper.book.carry();
  expect(bench.stopped).toMatchObject([{ id, status: "disabled" }]);
  expect(endpoint.received).toHaveLength(1);
});

test("a name that leads to a private address is refused when it is connected to, also when it was public a moment ago", async () => {
  const { port } = new URL(endpoint.url);
  bench.addEndpoint(`http://hooks.example.test:${port}/`);
  const answers = [
    [{ address: "127.0.0.1", family: 4 }],
    [{ address: "10.0.0.7", family: 4 }],
    [
      { address: "127.0.0.1", family: 4 },
      { address: "fd00:ec2::254", family: 6 },
    ],
  ];
  let asked = 0;
  bench.start({ resolve: async () => answers[asked++]! });
  const outcomes: unknown[] = [];
  for (const count of [1, 2, 3]) {
    const { offer } = await bench.publish();
    const row = async () => (await bench.rows()).find(({ job_id }) => job_id === offer.job_id);
    await expect.poll(row).toBeDefined();
    const { status, error } = (await row())!;
    outcomes.push([status, error]);
    // Once for each connection: nothing between check and use could change the answer.
    expect(asked).toBe(count);
  }
  expect(outcomes).toEqual([
    ["delivered", null],
    ["pending", "address_refused"],
    ["pending", "address_refused"],
  ]);
  expect(endpoint.received).toHaveLength(1);
});

test("a result goes with the event where it was asked for and is small enough; else the event says why not", async () => {
  bench.addEndpoint(endpoint.url, { includeResult: true });
  bench.start();
  const [small, large, gone] = [makeRun(), makeRun(), makeRun()];
  bench.results.set(small.offer.job_id, JSON.stringify({ note: "a result" }));
  bench.results.set(large.offer.job_id, JSON.stringify({ note: "x".repeat(256 * 1024) }));
  for (const run of [small, large, gone]) await bench.publish(run);
  await received(3);
  const told = new Map(
    endpoint.received.map((each) => [payloadOf(each).data.job_id, payloadOf(each).data]),
  );
  expect(told.get(small.offer.job_id)).toMatchObject({ result: { note: "a result" } });
  expect(told.get(large.offer.job_id)).toMatchObject({ result_omitted: "too_large" });
  expect(told.get(gone.offer.job_id)).toMatchObject({ result_omitted: "not_readable" });
});

test("a result that is kept nowhere else waits sealed, comes with the event, and is gone once delivered", async () => {
  bench.addEndpoint(endpoint.url);
  endpoint.answer = answering(500);
  const run = makeRun();
  const result = JSON.stringify({ transcript: "a marked sentence", filler: "y".repeat(300_000) });
  const sealed = sealResult(bench.box, run.offer.job_id, result);
  run.webhook = { sealed };
  expect(() => bench.box.open(sealed, "webhook-result/another")).toThrow();
  startRelay();
  bench.start();
  await offer(run);
  await rowsWith([{ status: "pending" }]);
  const all = async () => {
    const keys = await bench.redis.keys("*");
    const texts = await Promise.all(
      keys.map(async (key) => (await bench.redis.dump(key).catch(() => "")) ?? ""),
    );
    return { keys, text: texts.join("") };
  };
  expect((await all()).text).not.toContain("a marked sentence");
  expect((await all()).keys.some((key) => key.includes(":sealed:"))).toBe(true);
  endpoint.answer = answering(200);
  bench.clock.ms += HOUR;
  await received(2);
  expect(payloadOf(endpoint.received[1]!).data).toMatchObject({
    result: { transcript: "a marked sentence" },
  });
  await rowsWith([{ status: "delivered" }]);
  expect((await all()).keys.some((key) => key.includes(":sealed:"))).toBe(false);
});

test("sealed results of one tenant take a bounded room: what is beyond fails and is not kept, and what ends makes room", async () => {
  bench.addEndpoint(endpoint.url);
  bench.addEndpoint(endpoint.url, { tenantId: "ten_other" });
  endpoint.answer = answering(500);
  // Room for two, not three.
  bench.start({ mostSealedBytes: 100_000 });
  const publish = async (tenantId = "ten_demo") => {
    const run = makeRun({ tenantId });
    run.webhook = { sealed: sealResult(bench.box, run.offer.job_id, "y".repeat(30_000)) };
    await bench.publish(run);
    const { job_id } = run.offer;
    const row = async () => (await bench.rows()).find((each) => each.job_id === job_id);
    await expect.poll(row).toBeDefined();
    return (await row())!;
  };
  const outcomes = async (count: number) => {
    const rows = [];
    for (let n = 0; n < count; n++) rows.push(await publish());
    return rows.map(({ status, error }) => [status, error]);
  };
  const sealedKeys = async () => (await bench.redis.keys(webhookKeys.sealed("*"))).length;
  const waits = ["pending", "refused"];
  const refused = ["failed", "too_many_pending"];
  expect(await outcomes(3)).toEqual([waits, waits, refused]);
  expect(await sealedKeys()).toBe(2);
  // Another tenant's room is its own, and what has no sealed result needs none.
  expect(await publish("ten_other")).toMatchObject({ status: "pending" });
  const { offer } = await bench.publish();
  await expect
    .poll(async () => (await bench.rows()).find(({ job_id }) => job_id === offer.job_id))
    .toMatchObject({ status: "pending" });

  endpoint.answer = answering(200);
  bench.clock.ms += HOUR;
  await expect.poll(() => bench.redis.zcard(webhookKeys.pending)).toBe(0);
  expect(await sealedKeys()).toBe(0);
  endpoint.answer = answering(500);
  expect(await outcomes(3)).toEqual([waits, waits, refused]);
});

test("a delivery is sent again on demand by the same id, as long as the database knows it; another tenant cannot", async () => {
  endpoint.answer = answering(400);
  bench.addEndpoint(endpoint.url);
  bench.start();
  await bench.publish();
  await rowsWith([{ status: "failed" }]);
  const [row] = await bench.rows();
  endpoint.answer = answering(200);
  const redeliver = createRedeliver({
    redis: bench.redis,
    findRow: async (tenantId, id) =>
      tenantId === row!.tenant_id && id === row!.id ? row : undefined,
    now: () => bench.clock.ms,
  });
  expect(await redeliver("ten_other", row!.id)).toBeUndefined();
  const found = await redeliver("ten_demo", row!.id);
  expect(await found!.begin()).toMatchObject({ status: "pending", attempts: 1 });
  await received(2);
  await rowsWith([{ status: "delivered", attempts: 2 }]);
  // A day later the region has forgotten it.
  await bench.redis.del(webhookKeys.delivery(row!.id));
  await (await redeliver("ten_demo", row!.id))!.begin();
  await received(3);
  expect(new Set(endpoint.received.map(idOf)).size).toBe(1);
  const bodies = new Set(endpoint.received.map(({ body }) => body));
  expect(bodies.size).toBe(1);
});

test("of a bound tenant nothing that its client wrote is on its way to the database, and no secret is in any log", async () => {
  endpoint.answer = answering(500);
  bench.addEndpoint(endpoint.url);
  const run = makeRun({ residency: "eu" });
  run.webhook = {
    own: { url: `${endpoint.url}?token=content` },
    user_id: "content-user",
    metadata: { note: "content-note" },
  };
  bench.start();
  await bench.publish(run);
  await received(2);
  await expect.poll(async () => (await bench.rows()).length).toBe(2);
  expect(JSON.stringify(await bench.rows())).not.toContain("content");
  expect(endpoint.received[0]!.body).toContain("content-note");
  expect(bench.logged.join()).not.toMatch(/whsec_|content/);
});

test("what was deleted is told no more, and a target's memory is bounded", async () => {
  endpoint.answer = answering(500);
  bench.addEndpoint(endpoint.url);
  bench.start({ mostInLane: 2 });
  const run = makeRun();
  run.webhook = { metadata: { note: "to be deleted" } };
  await bench.publish(run);
  await rowsWith([{ status: "pending", attempts: 1 }]);
  bench.deleted.add(run.offer.job_id);
  bench.clock.ms += HOUR;
  await expect
    .poll(async () => (await bench.rows())[0])
    .toMatchObject({ status: "canceled", error: "job_deleted" });
  expect(endpoint.received).toHaveLength(1);
  const kept = await bench.redis.get(webhookKeys.delivery((await bench.rows())[0]!.id));
  expect(kept).not.toContain("to be deleted");

  // Deleted while it is on its way, it does not come back.
  endpoint.answer = (response) => {
    void bench.redis
      .keys(webhookKeys.delivery("*"))
      .then((keys) => bench.redis.del(...keys))
      .then(() => response.end());
  };
  await bench.publish();
  await received(2);
  await expect.poll(() => bench.redis.zcard(webhookKeys.pending)).toBe(0);
  expect(await bench.redis.keys(webhookKeys.delivery("*"))).toEqual([]);
  endpoint.answer = answering(500);

  for (let i = 0; i < 3; i++) {
    await bench.publish();
    await received(i < 2 ? 3 + i : 4);
  }
  await expect
    .poll(
      async () => (await bench.rows()).filter(({ error }) => error === "too_many_pending").length,
    )
    .toBe(1);
});
