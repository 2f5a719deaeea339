import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { WebhookPayload } from "../../../shared/contracts/webhooks.ts";
import { mintWebhookSecret } from "../../../shared/signing/standard-webhook.ts";
import { resultKeys } from "../../../regions/results/result-keys.ts";
import { createRedeliver } from "../../../regions/webhooks/redeliver.ts";
import { webhookKeys } from "../../../regions/webhooks/webhook-keys.ts";
import { makeRun } from "../results/make-run.ts";
import { type WebhookEndpointServer } from "./start-endpoint.ts";
import { HOUR, idOf, payloadOf } from "./webhook-bench.ts";
import {
  answering,
  another,
  bench,
  endpoint,
  offer,
  received,
  rowsWith,
  startRelay,
} from "./deliveries-under-test.ts";

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
