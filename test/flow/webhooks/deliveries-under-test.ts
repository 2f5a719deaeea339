import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import { createOfferRelay } from "../../../regions/results/offer-relay.ts";
import type { OfferEntry } from "../../../regions/results/offers.ts";
import { resultKeys } from "../../../regions/results/result-keys.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";
import { startEndpoint, type WebhookEndpointServer } from "./start-endpoint.ts";
import { createWebhookBench } from "./webhook-bench.ts";

let server: TestRedis;
/** Of the test that runs. */
export let bench: ReturnType<typeof createWebhookBench>;
export let endpoint: WebhookEndpointServer;
/** What each test closes at its end. */
export const closes: (() => Promise<unknown>)[] = [];

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

export const another = async () => {
  const more = await startEndpoint();
  closes.push(more.close);
  return more;
};
export const received = (count: number, by = endpoint) =>
  expect.poll(() => by.received.length).toBe(count);
export const rowsWith = (expected: object[]) =>
  expect.poll(() => bench.rows()).toEqual(expected.map((each) => expect.objectContaining(each)));
/** The relay of offers, before a ledger that accepts all runs but those of one job. */
export function startRelay(beatenJob?: string): void {
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
export const offer = (run: OfferEntry) =>
  bench.redis.xadd(resultKeys.offers, "*", "offer", JSON.stringify(run));

export const answering =
  (status: number, headers: Record<string, string> = {}): WebhookEndpointServer["answer"] =>
  (response) =>
    void response.writeHead(status, headers).end();
