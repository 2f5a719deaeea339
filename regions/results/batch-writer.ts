import { OutboxEntry } from "../../shared/contracts/completion.ts";
import { lsnBytes } from "../../shared/contracts/lsn.ts";
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
  write(envelopes: readonly OutboxEntry[]): Promise<{
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
  /** Envelopes in one statement, at most. */
  batchSize?: number;
  /** Bytes of envelopes in one statement (one alone may have more). */
  maxWriteBytes?: number;
  /** Statements under way at once: while one waits for its commit or a replica, the database works on the others. */
  concurrency?: number;
  stream?: Partial<
    Pick<
      StreamConsumerOptions,
      "blockMs" | "claimAfterMs" | "youngClaimAfterMs" | "graceMs" | "backoff"
    >
  >;
}

/** What the writer holds of the outbox at once, about: after a long outage of the database it may be all long recordings. */
const MAX_READ_BYTES = 64 * 2 ** 20;

export interface BatchWriter {
  run(signal: AbortSignal): Promise<void>;
  /** The end of the log that the entries which have left the outbox so far rely on; null when none has. */
  trimmed(): string | null;
}

/**
 * Carries accepted runs from the outbox into the database, until the signal is aborted. An entry leaves the outbox only
 * when the primary has committed it and a replica has replayed it; what the database can never take goes to the dead letters.
 */
export function createBatchWriter(options: BatchWriterOptions): BatchWriter {
  const { redis, target, logger, metrics, concurrency = 3 } = options;
  const { batchSize = 500, maxWriteBytes = 4 * 2 ** 20 } = options;
  const scripts = createScripts(redis);
  const written = metrics.counter(
    "antiphon_outbox_written_total",
    "Outbox entries in the database and on a replica.",
  );
  const dead = metrics.counter(
    "antiphon_outbox_dead_total",
    "Outbox entries that the database can never take.",
  );

  let trimmed: string | null = null;

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
    if (trimmed === null || lsnBytes(trimmed) < lsnBytes(lsn)) trimmed = lsn;
    written.inc(
      {},
      await scripts.trimOutbox(batch.filter((_, index) => !reasons.has(index)).map(({ id }) => id)),
    );
  }

  /** What has left the outbox, of a batch that comes again because another part of it failed. */
  const gone = new WeakSet<StreamEntry>();

  async function handle(entries: StreamEntry[], signal: AbortSignal): Promise<void> {
    const open = splitByBytes(
      entries.filter((entry) => !gone.has(entry)),
      batchSize,
      maxWriteBytes,
    ).values();
    const failures: unknown[] = [];
    /** Reads and writes one part after another; a part is parsed while the database works on those before it. */
    async function work(): Promise<void> {
      for (const part of open) {
        try {
          const good: Outgoing[] = [];
          for (const { id, fields } of part) {
            const read = readJson(OutboxEntry, fields["envelope"]);
            if ("fault" in read) await bury(id, read.fault);
            else good.push({ id, envelope: read.value });
          }
          if (good.length > 0) await write(good, signal);
          for (const entry of part) gone.add(entry);
        } catch (error) {
          failures.push(error);
        }
        if (failures.length > 0) return;
      }
    }
    // All have ended before the failure is told: the same entries then come again, and must not meet themselves.
    await Promise.all(Array.from({ length: concurrency }, work));
    if (failures.length > 0) throw failures[0];
  }

  return {
    trimmed: () => trimmed,
    run: (signal) =>
      consumeStream(
        {
          ...options.stream,
          redis,
          stream: resultKeys.outbox,
          group: groups.outbox,
          batchSize: batchSize * concurrency,
          maxBatchBytes: MAX_READ_BYTES,
          handle,
          logger,
        },
        signal,
      ),
  };
}

interface Outgoing {
  id: string;
  envelope: OutboxEntry;
}

/**
 * In order. A batch of results of long recordings would be more than the database takes as one document, or than it
 * can take in before the statement's time is up; and it would come back as the same batch for ever.
 */
function splitByBytes(
  entries: readonly StreamEntry[],
  maxEntries: number,
  maxBytes: number,
): StreamEntry[][] {
  const batches: StreamEntry[][] = [];
  let room = 0;
  for (const entry of entries) {
    const bytes = Buffer.byteLength(entry.fields["envelope"] ?? "");
    if (bytes > room || (batches.at(-1)?.length ?? maxEntries) >= maxEntries) {
      batches.push([]);
      room = maxBytes;
    }
    batches.at(-1)!.push(entry);
    room -= bytes;
  }
  return batches;
}
