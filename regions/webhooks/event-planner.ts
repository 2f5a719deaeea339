import type { WebhookEventType } from "../../shared/contracts/webhooks.ts";
import type { Logger } from "../ops/logger.ts";
import type { Metrics } from "../ops/metrics.ts";
import { readJson } from "../results/offers.ts";
import type { Redis } from "../results/redis.ts";
import { resultKeys } from "../results/result-keys.ts";
import { define } from "../results/scripts.ts";
import {
  consumeStream,
  type StreamConsumerOptions,
  type StreamEntry,
} from "../results/stream-consumer.ts";
import { WebhookEvent } from "../results/webhook-event.ts";
import { buryEntry } from "./bury-entry.ts";
import { rowOf, type Delivery } from "./delivery.ts";
import { GIVE_UP_AFTER_MS } from "./retry-policy.ts";
import { createWebhookScripts, type PlannedDelivery } from "./scripts.ts";
import {
  deliveryIds,
  laneOf,
  webhookGroups,
  webhookKeys,
  type DeliveryTarget,
} from "./webhook-keys.ts";

export interface Subscription {
  endpointId: string;
  tenantId: string;
  events: readonly WebhookEventType[];
}

export interface EventPlannerOptions {
  redis: Redis;
  region: string;
  /** Endpoints of these tenants. */
  subscriptions(tenantIds: readonly string[]): Promise<Subscription[]>;
  logger: Logger;
  metrics: Metrics;
  /** Called when there is something to send. */
  onPlanned?: () => void;
  /** Deliveries that may wait for one target: a region's memory is everybody's. */
  mostInLane?: number;
  /** Bytes of a tenant's results that lie here sealed until they are delivered, once for each target. */
  mostSealedBytes?: number;
  /** Unix ms. */
  now?: () => number;
  stream?: Partial<
    Pick<
      StreamConsumerOptions,
      "blockMs" | "claimAfterMs" | "youngClaimAfterMs" | "graceMs" | "backoff"
    >
  >;
}

const BATCH_SIZE = 100;
/** A sealed result comes with its event, and may be large. */
const MAX_BATCH_BYTES = 16 * 2 ** 20;
/** Of tenants whose subscriptions were read before, for when the database is away. */
const MOST_REMEMBERED = 10_000;

/**
 * Turns what happened to jobs into deliveries, one for each endpoint that wants to know and for the job's own address, until the signal is
 * aborted. An event leaves its stream in the step that makes its deliveries.
 */
export function createEventPlanner(options: EventPlannerOptions): {
  run(signal: AbortSignal): Promise<void>;
} {
  const { redis, region, logger, metrics, onPlanned, now = Date.now } = options;
  const { mostInLane = 50_000, mostSealedBytes = 64 * 2 ** 20 } = options;
  const scripts = createWebhookScripts(redis);
  const trim = define(redis, "trim", 1);
  const planned = metrics.counter(
    "antiphon_webhook_planned_total",
    "Deliveries of webhooks, by whether there was room for them.",
  );
  /** The last that was read of each tenant, the longest unread first. */
  const remembered = new Map<string, Subscription[]>();

  /**
   * Subscriptions by tenant. They are read anew for each batch: an endpoint that was made just now must not miss what happens next.
   * While the database is away, what was last read stands; a tenant that was never read is missing.
   */
  async function subscriptionsOf(tenantIds: string[]): Promise<Map<string, Subscription[]>> {
    try {
      const byTenant = Map.groupBy(await options.subscriptions(tenantIds), (each) => each.tenantId);
      for (const tenantId of tenantIds) {
        remembered.delete(tenantId);
        remembered.set(tenantId, byTenant.get(tenantId) ?? []);
      }
      for (const oldest of remembered.keys()) {
        if (remembered.size <= MOST_REMEMBERED) break;
        remembered.delete(oldest);
      }
    } catch (error) {
      logger.warn({ err: error }, "webhooks go by the endpoints that were last known");
    }
    return remembered;
  }

  function deliveryTo(event: WebhookEvent, target: Delivery["target"]): PlannedDelivery {
    const { id, webhookId } = deliveryIds(region, { ...event, target });
    const delivery: Delivery = {
      v: 1,
      id,
      webhook_id: webhookId,
      tenant_id: event.tenant_id,
      residency: event.residency,
      region,
      job_id: event.job_id,
      event: event.type,
      timestamp: event.timestamp,
      facts: event.facts,
      ...(event.result_key === undefined ? {} : { result_key: event.result_key }),
      target,
      ...(event.sealed === undefined ? {} : { has_sealed: true }),
      expires_ms: now() + GIVE_UP_AFTER_MS,
      status: "pending",
      attempts: 0,
      tries: 0,
      version: 1,
      last_attempt_ms: null,
      next_attempt_ms: null,
      response_status: null,
      error: null,
    };
    return {
      delivery,
      lane: laneOf(event.tenant_id, target as DeliveryTarget),
      refused: rowOf({ ...delivery, status: "failed", error: "too_many_pending" }),
    };
  }

  async function handle(entries: StreamEntry[]): Promise<void> {
    const events: { id: string; event: WebhookEvent }[] = [];
    for (const { id, fields } of entries) {
      const read = readJson(WebhookEvent, fields["event"]);
      if ("value" in read) events.push({ id, event: read.value });
      else {
        const from = { stream: resultKeys.webhooks, group: webhookGroups.events, id };
        await buryEntry(redis, { ...from, to: webhookKeys.deadEvents, reason: read.fault });
        logger.error({ entry: id, reason: read.fault }, "an event can never be told");
      }
    }
    const known = await subscriptionsOf([...new Set(events.map(({ event }) => event.tenant_id))]);
    const unwanted: string[] = [];
    let unread = 0;
    // Sent to Redis one behind the other: it writes them to the disk together.
    await Promise.all(
      events.map(async ({ id, event }) => {
        const all = known.get(event.tenant_id);
        if (all === undefined) {
          unread++;
          return;
        }
        const deliveries = targetsOf(event, all).map((target) => deliveryTo(event, target));
        if (deliveries.length === 0) {
          unwanted.push(id);
          return;
        }
        const room = { nowMs: now(), tenantId: event.tenant_id, mostInLane, mostSealedBytes };
        const made = await scripts.plan(id, { deliveries, sealed: event.sealed }, room);
        if (!made) return;
        planned.inc({ outcome: "made" }, made.made);
        planned.inc({ outcome: "no_room" }, made.full);
        if (made.made > 0) onPlanned?.();
      }),
    );
    if (unwanted.length > 0) await trim(resultKeys.webhooks, webhookGroups.events, ...unwanted);
    // What was planned is gone, and is passed over when the batch comes again.
    if (unread > 0) throw new Error(`the endpoints of ${unread} events cannot be read now`);
  }

  return {
    run: (signal) =>
      consumeStream(
        {
          ...options.stream,
          redis,
          stream: resultKeys.webhooks,
          group: webhookGroups.events,
          batchSize: BATCH_SIZE,
          maxBatchBytes: MAX_BATCH_BYTES,
          handle,
          logger,
        },
        signal,
      ),
  };
}

/** Who is to be told: the endpoints that asked for such events, and the address that the job named. */
function targetsOf(event: WebhookEvent, all: readonly Subscription[]): Delivery["target"][] {
  const targets: Delivery["target"][] = all
    .filter(({ events }) => events.includes(event.type))
    .map(({ endpointId }) => ({ endpoint_id: endpointId }));
  if (event.own) {
    const { url, include_result = false } = event.own;
    targets.push({ url, include_result });
  }
  return targets;
}
