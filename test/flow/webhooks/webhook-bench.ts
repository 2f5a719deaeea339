import { pino } from "pino";
import type { WebhookPayload } from "../../../shared/contracts/webhooks.ts";
import { mintWebhookSecret } from "../../../shared/signing/standard-webhook.ts";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import { createSecretBox } from "../../../regions/ops/secret-box.ts";
import { resultKeys } from "../../../regions/results/result-keys.ts";
import { createRedis } from "../../../regions/results/redis.ts";
import { webhookEventOf } from "../../../regions/results/webhook-event.ts";
import { createAddressPolicy } from "../../../regions/webhooks/address-policy.ts";
import type { Resolve } from "../../../regions/webhooks/resolve-names.ts";
import { createDeliverer, type DelivererOptions } from "../../../regions/webhooks/deliverer.ts";
import type { DeliveryRow } from "../../../regions/webhooks/delivery.ts";
import { createEndpointBook, type FoundTarget } from "../../../regions/webhooks/endpoint-book.ts";
import { createEventPlanner } from "../../../regions/webhooks/event-planner.ts";
import { createPostWebhook } from "../../../regions/webhooks/post-webhook.ts";
import { openResult } from "../../../regions/results/sealed-result.ts";
import { webhookKeys } from "../../../regions/webhooks/webhook-keys.ts";
import { makeRun } from "../results/make-run.ts";
import type { ReceivedWebhook } from "./start-endpoint.ts";

export const REGION = "us-east";
export const HOUR = 3_600_000;

export interface BenchEndpoint extends FoundTarget {
  events: ("job.succeeded" | "job.failed" | "job.canceled")[];
  tenantId: string;
}

export interface BenchStart extends Partial<DelivererOptions> {
  resolve?: Resolve;
  timeoutMs?: number;
  mostInLane?: number;
  mostSealedBytes?: number;
}

/** A region's webhooks over a real Redis, with a clock that the test moves and what the database would know of endpoints. */
export function createWebhookBench(redisUrl: string) {
  const redis = createRedis(redisUrl);
  const logged: string[] = [];
  const logger = pino({ level: "trace" }, { write: (line: string) => void logged.push(line) });
  const clock = { ms: Date.now() };
  const box = createSecretBox([Buffer.alloc(32, 1)]);
  const endpoints = new Map<string, BenchEndpoint>();
  const tenantSecret = mintWebhookSecret();
  const stopped: { id: string; status: string; reason: string }[] = [];
  const deleted = new Set<string>();
  const database = { away: false };
  const results = new Map<string, string>();
  const stops: (() => Promise<void>)[] = [];
  const now = () => clock.ms;

  const guard = <T>(value: T): T => {
    if (database.away) throw new Error("the database is away");
    return value;
  };
  const source = {
    target: async (id: string) => guard(endpoints.get(id)),
    tenantSecrets: async () => guard([tenantSecret]),
    stop: async (id: string, how: { status: "paused" | "disabled"; reason: string }) => {
      guard(undefined);
      stopped.push({ id, status: how.status, reason: how.reason });
      Object.assign(endpoints.get(id)!, { status: how.status, statusSinceMs: now() });
    },
    subscriptions: async () =>
      guard(
        [...endpoints].map(([endpointId, { tenantId, events }]) => ({
          endpointId,
          tenantId,
          events,
        })),
      ),
  };

  let count = 0;
  function addEndpoint(url: string, more: Partial<BenchEndpoint> = {}): string {
    const id = `whe_${String(count++).padStart(24, "0")}`;
    endpoints.set(id, {
      url,
      status: "active",
      statusSinceMs: clock.ms,
      includeResult: false,
      secrets: [mintWebhookSecret()],
      events: ["job.succeeded", "job.failed", "job.canceled"],
      tenantId: "ten_demo",
      ...more,
    });
    return id;
  }

  /** Starts planner and deliverer; a connection of its own can be taken from them, as a dead process's is. */
  function start(more: BenchStart = {}) {
    const own = createRedis(redisUrl);
    const stop = new AbortController();
    const metrics = createMetrics();
    const book = createEndpointBook({ redis: own, source, logger, ttlMs: 0, now });
    const { resolve, timeoutMs = 10_000, mostInLane, mostSealedBytes, ...options } = more;
    const addresses = createAddressPolicy({ allowLoopback: true, ...(resolve ? { resolve } : {}) });
    const deliverer = createDeliverer({
      redis: own,
      book,
      post: createPostWebhook({ addresses, timeoutMs, connectTimeoutMs: timeoutMs, now }),
      readResult: async ({ job_id }) => results.get(job_id),
      isDeleted: async ({ job_id }) => deleted.has(job_id),
      openResult: (jobId, sealed) => openResult(box, jobId, sealed),
      publicUrl: "https://api.test",
      logger,
      metrics,
      pollMs: 10,
      pausedCheckMs: 1000,
      random: () => 0.5,
      graceMs: 0,
      now,
      ...options,
    });
    const planner = createEventPlanner({
      redis: own,
      region: REGION,
      subscriptions: source.subscriptions,
      logger,
      metrics,
      now,
      ...(mostInLane === undefined ? {} : { mostInLane }),
      ...(mostSealedBytes === undefined ? {} : { mostSealedBytes }),
      onPlanned: deliverer.wake,
      stream: { blockMs: 50, backoff: { minMs: 5, maxMs: 20 } },
    });
    const running = Promise.all([planner.run(stop.signal), deliverer.run(stop.signal)]);
    const end = async () => {
      stop.abort(new Error("the test ends"));
      await running;
      own.disconnect();
    };
    stops.push(end);
    return { book, metrics, end, die: () => own.disconnect() };
  }

  /** As the acceptance of a run does. */
  async function publish(run = makeRun()): Promise<ReturnType<typeof makeRun>> {
    const event = JSON.stringify(webhookEventOf(run));
    await redis.xadd(resultKeys.webhooks, "*", "event", event);
    return run;
  }

  /** The newest state of each delivery, as it goes to the database. */
  async function rows(): Promise<DeliveryRow[]> {
    const entries = await redis.xrange(webhookKeys.rows, "-", "+");
    const all = entries.map(([, fields]) => JSON.parse(fields![1]!) as DeliveryRow);
    return [...new Map(all.map((row) => [row.id, row])).values()];
  }

  return {
    redis,
    clock,
    box,
    endpoints,
    tenantSecret,
    stopped,
    deleted,
    database,
    results,
    logged,
    addEndpoint,
    start,
    publish,
    rows,
    async close() {
      await Promise.all(stops.map((stop) => stop()));
      redis.disconnect();
    },
  };
}

export const idOf = ({ headers }: ReceivedWebhook) => headers["webhook-id"];
export const payloadOf = ({ body }: ReceivedWebhook) => JSON.parse(body) as WebhookPayload;
