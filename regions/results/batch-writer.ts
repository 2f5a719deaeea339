import { z } from "zod";
import { OutboxEntry, type OutboxEnvelope } from "../../shared/contracts/completion.ts";
import type { WalPosition } from "../../shared/contracts/primary.ts";
import { compareWal } from "../../shared/policies/primary.ts";
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
    at: WalPosition;
    refused: { index: number; reason: string }[];
  }>;
  /** Resolves once a replica has replayed the log up to there; throws when none has in time, or the primary has moved. */
  waitForReplay(at: WalPosition, signal: AbortSignal): Promise<void>;
}

export interface BatchWriterOptions {
  redis: Redis;
  target: FinalJobsTarget;
  /**
   * The text of a result that was too large for its envelope; undefined when there is none (any more), and then its row has none.
   * Throws while the bucket is away.
   */
  readResult?(key: string, signal: AbortSignal): Promise<string | undefined>;
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

export interface BatchWriter {
  run(signal: AbortSignal): Promise<void>;
  /** The end of the log that the entries which have left the outbox so far rely on; null when none has. */
  trimmed(): WalPosition | null;
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

  let trimmed: WalPosition | null = null;

  async function bury(entryId: string, reason: string): Promise<void> {
    await scripts.buryEnvelope(entryId, reason);
    dead.inc();
    logger.error(
      { entry: entryId, reason, moved_to: resultKeys.deadOutbox },
      "an outbox entry can never be written",
    );
  }

  async function write(batch: readonly Outgoing[], signal: AbortSignal): Promise<void> {
    const { at, refused } = await target.write(batch.map(({ envelope }) => envelope));
    const reasons = new Map(refused.map(({ index, reason }) => [index, reason]));
    for (const [index, reason] of reasons) await bury(batch[index]!.id, reason);
    await target.waitForReplay(at, signal);
    if (trimmed === null || compareWal(trimmed, at) < 0) trimmed = at;
    written.inc(
      {},
      await scripts.trimOutbox(batch.filter((_, index) => !reasons.has(index)).map(({ id }) => id)),
    );
  }

  /** Reads one result after another: how large they are is not known before they are here. */
  async function writeLarge(entries: readonly Outgoing[], signal: AbortSignal): Promise<void> {
    let batch: Outgoing[] = [];
    let bytes = 0;
    for (const entry of entries) {
      const envelope = entry.envelope as OutboxEnvelope;
      const text = (await options.readResult?.(envelope.job.result_key!, signal)) ?? "";
      const read = readJson(Result, text);
      if ("fault" in read) {
        logger.warn({ job_id: envelope.job.id, reason: read.fault }, "a job's row has no result");
      }
      if (batch.length > 0 && bytes + text.length > maxWriteBytes) {
        await write(batch, signal);
        [batch, bytes] = [[], 0];
      }
      const result = "value" in read ? read.value : null;
      batch.push({ ...entry, envelope: { ...envelope, result } });
      bytes += text.length;
    }
    if (batch.length > 0) await write(batch, signal);
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
          const [large, small] = partition(good, ({ envelope }) => liesElsewhere(envelope));
          if (small.length > 0) await write(small, signal);
          await writeLarge(large, signal);
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

const Result = z.record(z.string(), z.unknown());

/** Of a run that gave a result, which may lie in the database and was too large to come along. */
const liesElsewhere = (envelope: OutboxEntry): boolean =>
  envelope.type === "job.final" &&
  envelope.result === null &&
  envelope.job.residency === "global" &&
  envelope.job.status === "succeeded" &&
  envelope.job.result_key !== null;

function partition<T>(all: readonly T[], belongs: (each: T) => boolean): [T[], T[]] {
  return [all.filter(belongs), all.filter((each) => !belongs(each))];
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
