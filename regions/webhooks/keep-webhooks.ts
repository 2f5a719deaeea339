import type { Logger } from "../ops/logger.ts";
import type { Metrics } from "../ops/metrics.ts";
import { repeat } from "../ops/repeat.ts";
import type { Redis } from "../results/redis.ts";
import { createAddressPolicy } from "./address-policy.ts";
import { createDeliverer, type DelivererOptions } from "./deliverer.ts";
import { createDeliveryWriter, type DeliveryWriterOptions } from "./delivery-writer.ts";
import { createEndpointBook, type EndpointBookOptions } from "./endpoint-book.ts";
import { createEventPlanner, type EventPlannerOptions } from "./event-planner.ts";
import { createPostWebhook } from "./post-webhook.ts";

export interface KeepWebhooksOptions {
  redis: Redis;
  region: string;
  endpoints: EndpointBookOptions["source"] & Pick<EventPlannerOptions, "subscriptions">;
  deliveries: DeliveryWriterOptions["target"];
  readResult: DelivererOptions["readResult"];
  isDeleted: DelivererOptions["isDeleted"];
  openResult: DelivererOptions["openResult"];
  publicUrl?: string | undefined;
  /** This machine itself may be called, without TLS: for development. */
  allowLoopback: boolean;
  logger: Logger;
  metrics: Metrics;
}

const CARRY_EVERY_MS = 2000;

/** All that a keeper does for webhooks, until the signal is aborted: plans, sends, writes down, and tells of endpoints that it stopped. */
export function createWebhookKeeper(options: KeepWebhooksOptions): {
  run(signal: AbortSignal): Promise<void>;
} {
  const { redis, region, endpoints, deliveries, allowLoopback, logger, metrics } = options;
  const { readResult, isDeleted, openResult, publicUrl } = options;
  const book = createEndpointBook({ redis, source: endpoints, logger });
  const deliverer = createDeliverer({
    redis,
    book,
    post: createPostWebhook({ addresses: createAddressPolicy({ allowLoopback }) }),
    readResult,
    isDeleted,
    openResult,
    publicUrl,
    logger,
    metrics,
  });
  const planner = createEventPlanner({
    redis,
    region,
    subscriptions: endpoints.subscriptions,
    onPlanned: deliverer.wake,
    logger,
    metrics,
  });
  const writer = createDeliveryWriter({ redis, target: deliveries, logger, metrics });

  return {
    async run(signal) {
      await Promise.all([
        planner.run(signal),
        deliverer.run(signal),
        writer.run(signal),
        repeat(() => book.carry(), {
          everyMs: CARRY_EVERY_MS,
          signal,
          onError: (error) =>
            logger.warn({ err: error }, "cannot tell of stopped webhook endpoints now"),
        }),
      ]);
    },
  };
}
