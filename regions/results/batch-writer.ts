import { OutboxEnvelope } from "../../shared/contracts/completion.ts";
import type { Logger } from "../ops/logger.ts";
import type { Metrics } from "../ops/metrics.ts";
import { readJson } from "./offers.ts";
import type { Redis } from "./redis.ts";
import { groups, resultKeys } from "./result-keys.ts";
import { createScripts } from "./scripts.ts";
import { consumeStream, type StreamConsumerOptions, type StreamEntry } from "./stream-consumer.ts";

/** The database as the writer needs it. */
export interface FinalJobsTarget {
  /** Writes idempotently; names what it can never take, by place in the batch. Throws while it is away. */
  write(envelopes: readonly OutboxEnvelope[]): Promise<{
    lsn: string;
    refused: { index: number; reason: string }[];
  }>;
  /** Resolves once a replica has replayed the log up to `lsn`; throws when none has in time. */
  waitForReplay(lsn: string, signal: AbortSignal): Promise<void>;
}

export interface BatchWriterOptions {
  redis: Redis;
  target: FinalJobsTarget;
  logger: Logger;
  metrics: Metrics;
  batchSize?: number;
  stream?: Partial<
    Pick<
      StreamConsumerOptions,
      "blockMs" | "claimAfterMs" | "youngClaimAfterMs" | "graceMs" | "backoff"
    >
  >;
}

/**
 * Carries accepted runs from the outbox into the database, until the signal is aborted. An entry leaves the outbox only
 * when the primary has committed it and a replica has replayed it; what the database can never take goes to the dead letters.
 */
export function createBatchWriter(options: BatchWriterOptions): {
  run(signal: AbortSignal): Promise<void>;
} {
  const { redis, target, logger, metrics, batchSize = 500 } = options;
  const scripts = createScripts(redis);
  const written = metrics.counter(
    "antiphon_outbox_written_total",
    "Outbox entries in the database and on a replica.",
  );
  const dead = metrics.counter(
    "antiphon_outbox_dead_total",
    "Outbox entries that the database can never take.",
  );

  async function bury(entryId: string, reason: string): Promise<void> {
    await scripts.buryEnvelope(entryId, reason);
    dead.inc();
    logger.error(
      { entry: entryId, reason, moved_to: resultKeys.deadOutbox },
      "an outbox entry can never be written",
    );
  }

  async function handle(entries: StreamEntry[], signal: AbortSignal): Promise<void> {
    const good: { id: string; envelope: OutboxEnvelope }[] = [];
    for (const { id, fields } of entries) {
      const read = readJson(OutboxEnvelope, fields["envelope"]);
      if ("fault" in read) await bury(id, read.fault);
      else good.push({ id, envelope: read.value });
    }
    if (good.length === 0) return;
    const { lsn, refused } = await target.write(good.map(({ envelope }) => envelope));
    const reasons = new Map(refused.map(({ index, reason }) => [index, reason]));
    for (const [index, reason] of reasons) await bury(good[index]!.id, reason);
    await target.waitForReplay(lsn, signal);
    written.inc(
      {},
      await scripts.trimOutbox(good.filter((_, index) => !reasons.has(index)).map(({ id }) => id)),
    );
  }

  return {
    run: (signal) =>
      consumeStream(
        {
          ...options.stream,
          redis,
          stream: resultKeys.outbox,
          group: groups.outbox,
          batchSize,
          handle,
          logger,
        },
        signal,
      ),
  };
}
