import type { WalPosition } from "../../shared/contracts/primary.ts";
import type { Logger } from "../ops/logger.ts";
import type { Metrics } from "../ops/metrics.ts";
import { readJson } from "../results/offers.ts";
import type { Redis } from "../results/redis.ts";
import { define } from "../results/scripts.ts";
import {
  consumeStream,
  type StreamConsumerOptions,
  type StreamEntry,
} from "../results/stream-consumer.ts";
import { buryEntry } from "./bury-entry.ts";
import { DeliveryRow } from "./delivery.ts";
import { webhookGroups, webhookKeys } from "./webhook-keys.ts";

export interface DeliveryWriterOptions {
  redis: Redis;
  target: {
    /** Writes idempotently; names what it can never take, by place. Throws while it is away. */
    write(rows: readonly DeliveryRow[]): Promise<{ at: WalPosition; refused: number[] }>;
    waitForReplay(at: WalPosition, signal: AbortSignal): Promise<void>;
  };
  logger: Logger;
  metrics: Metrics;
  stream?: Partial<Pick<StreamConsumerOptions, "blockMs" | "backoff">>;
}

const BATCH_SIZE = 500;

/**
 * Carries the states of deliveries into the database, until the signal is aborted; one leaves the stream when the primary has committed
 * it and a replica has replayed it.
 */
export function createDeliveryWriter(options: DeliveryWriterOptions): {
  run(signal: AbortSignal): Promise<void>;
} {
  const { redis, target, logger, metrics } = options;
  const trim = define(redis, "trim", 1);
  const written = metrics.counter(
    "antiphon_webhook_rows_total",
    "States of deliveries, by what became of them.",
  );

  async function bury(id: string, reason: string): Promise<void> {
    const from = { stream: webhookKeys.rows, group: webhookGroups.rows, id };
    await buryEntry(redis, { ...from, to: webhookKeys.deadRows, reason });
    written.inc({ outcome: "dead" });
    logger.error({ entry: id, reason }, "a delivery's state can never be written");
  }

  async function handle(entries: StreamEntry[], signal: AbortSignal): Promise<void> {
    const good: { id: string; row: DeliveryRow }[] = [];
    for (const { id, fields } of entries) {
      const read = readJson(DeliveryRow, fields["row"]);
      if ("value" in read) good.push({ id, row: read.value });
      else await bury(id, read.fault);
    }
    if (good.length === 0) return;
    const { at, refused } = await target.write(good.map(({ row }) => row));
    for (const index of refused) await bury(good[index]!.id, "the database refuses it");
    await target.waitForReplay(at, signal);
    const done = good.filter((_, index) => !refused.includes(index)).map(({ id }) => id);
    if (done.length === 0) return;
    await trim(webhookKeys.rows, webhookGroups.rows, ...done);
    written.inc({ outcome: "written" }, done.length);
  }

  return {
    run: (signal) =>
      consumeStream(
        {
          ...options.stream,
          redis,
          stream: webhookKeys.rows,
          group: webhookGroups.rows,
          batchSize: BATCH_SIZE,
          handle,
          logger,
        },
        signal,
      ),
  };
}
