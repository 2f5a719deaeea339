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
  /** Bytes of envelopes written at once (one alone may have more). */
  maxWriteBytes?: number;
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
  const { redis, target, logger, metrics, batchSize = 500, maxWriteBytes = 4 * 2 ** 20 } = options;
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

  async function write(batch: readonly Outgoing[], signal: AbortSignal): Promise<void> {
    const { lsn, refused } = await target.write(batch.map(({ envelope }) => envelope));
    const reasons = new Map(refused.map(({ index, reason }) => [index, reason]));
    for (const [index, reason] of reasons) await bury(batch[index]!.id, reason);
    await target.waitForReplay(lsn, signal);
    written.inc(
      {},
      await scripts.trimOutbox(batch.filter((_, index) => !reasons.has(index)).map(({ id }) => id)),
    );
  }

  async function handle(entries: StreamEntry[], signal: AbortSignal): Promise<void> {
    const good: Outgoing[] = [];
    for (const { id, fields } of entries) {
      const text = fields["envelope"];
      const read = readJson(OutboxEnvelope, text);
      if ("fault" in read) await bury(id, read.fault);
      else good.push({ id, envelope: read.value, bytes: Buffer.byteLength(text ?? "") });
    }
    for (const batch of splitByBytes(good, maxWriteBytes)) await write(batch, signal);
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

interface Outgoing {
  id: string;
  envelope: OutboxEnvelope;
  bytes: number;
}

/**
 * In order, by bytes. A batch of results of long recordings would be more than the database takes as one document, or
 * than it can take in before the statement's time is up; and it would come back as the same batch for ever.
 */
function splitByBytes(entries: readonly Outgoing[], maxBytes: number): Outgoing[][] {
  const batches: Outgoing[][] = [];
  let room = 0;
  for (const entry of entries) {
    if (entry.bytes > room || batches.length === 0) {
      batches.push([]);
      room = maxBytes;
    }
    batches.at(-1)!.push(entry);
    room -= entry.bytes;
  }
  return batches;
}
