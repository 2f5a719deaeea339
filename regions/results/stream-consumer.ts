import type { Logger } from "../ops/logger.ts";
import { firstConnection } from "../ops/first-connection.ts";
import { createBackoff } from "../ops/backoff.ts";
import { duplicateForBlocking, type Redis } from "./redis.ts";

export interface StreamEntry {
  id: string;
  fields: Record<string, string>;
}

export interface StreamConsumerOptions {
  redis: Redis;
  stream: string;
  group: string;
  /** Entries handled at once, and held in memory, at most. */
  batchSize: number;
  /** Characters of such a batch, about: how many entries are read goes by the size of those before. */
  maxBatchBytes?: number;
  /**
   * Deals with a batch and removes its entries. Whatever it throws, the same batch comes again after a pause.
   * `signal` is aborted when the process can wait no longer.
   */
  handle(entries: StreamEntry[], signal: AbortSignal): Promise<void>;
  logger: Logger;
  blockMs?: number;
  /** Entries that a consumer took and has not removed for so long are taken over: it may have died. */
  claimAfterMs?: number;
  /** The same, in the first `claimAfterMs` after the start: most likely it was our own predecessor that died. */
  youngClaimAfterMs?: number;
  /** How long a batch in hand may go on after the stop. */
  graceMs?: number;
  backoff?: { minMs?: number; maxMs?: number };
}

/**
 * All consumers of a group share one name: the group then never fills with names of the dead, and taking over goes by
 * how long an entry has lain, whoever took it.
 */
const CONSUMER = "keeper";

/** Entries read at first, while nothing is known of their size: so few that a process which large ones have ended gets past them. */
const FIRST_READ = 10;

/**
 * Reads a stream for good, batch after batch, until `signal` is aborted; rides out a Redis that is away. An entry may be
 * handled twice (after a crash, or by two processes at once), and is never skipped.
 */
export async function consumeStream(
  options: StreamConsumerOptions,
  signal: AbortSignal,
): Promise<void> {
  const { redis, stream, group, batchSize, handle, logger } = options;
  const {
    blockMs = 1000,
    claimAfterMs = 15_000,
    youngClaimAfterMs = 1000,
    graceMs = 3000,
    maxBatchBytes = Number.POSITIVE_INFINITY,
  } = options;
  const log = logger.child({ stream });
  const backoff = createBackoff(options.backoff);
  const blocking = duplicateForBlocking(redis, blockMs);
  const hardStop = new AbortController();
  let graceTimer: NodeJS.Timeout | undefined;
  const onStop = () => {
    blocking.disconnect();
    graceTimer = setTimeout(() => hardStop.abort(signal.reason), graceMs);
  };

  let groupIsThere = false;
  let claimAtMs = 0;
  const youngUntilMs = performance.now() + claimAfterMs;
  let inHand: StreamEntry[] = [];
  let count = Number.isFinite(maxBatchBytes) ? Math.min(batchSize, FIRST_READ) : batchSize;

  /** Doubles what is read next while it fits; shrinks at once when it was too much. */
  function adaptCount(): void {
    const bytes = inHand.reduce((sum, { fields }) => sum + sizeOf(fields), 0);
    const fitting = Math.floor((inHand.length * maxBatchBytes) / Math.max(1, bytes));
    if (inHand.length > 0) count = Math.max(1, Math.min(batchSize, count * 2, fitting));
  }

  async function step(): Promise<void> {
    if (!groupIsThere) {
      await makeGroup(redis, stream, group);
      groupIsThere = true;
    }
    if (inHand.length === 0 && performance.now() >= claimAtMs) {
      const idleMs = performance.now() < youngUntilMs ? youngClaimAfterMs : claimAfterMs;
      const asked = count;
      inHand = await claimAbandoned(redis, stream, group, idleMs, asked);
      // A full batch: there may be more of them.
      if (inHand.length < asked) claimAtMs = performance.now() + Math.max(50, idleMs / 3);
    }
    if (inHand.length === 0) {
      // ioredis, disconnected between two tries to connect, never tells of the commands that wait for the connection.
      const read = await orAborted(
        blocking.xreadgroup(
          "GROUP",
          group,
          CONSUMER,
          "COUNT",
          count,
          "BLOCK",
          blockMs,
          "STREAMS",
          stream,
          ">",
        ),
        signal,
      );
      inHand = toEntries((read as [string, RawEntry[]][] | null)?.[0]?.[1] ?? []);
    }
    adaptCount();
    if (inHand.length > 0) await orAborted(handle(inHand, hardStop.signal), hardStop.signal);
    inHand = [];
  }

  try {
    signal.addEventListener("abort", onStop, { once: true });
    await firstConnection(redis);
    while (!signal.aborted) {
      try {
        await step();
        backoff.reset();
      } catch (error) {
        if (signal.aborted) break;
        // Redis has lost the group with its data, or another process deleted the stream.
        if (error instanceof Error && error.message.includes("NOGROUP")) groupIsThere = false;
        log.warn(
          { err: error, in_hand: inHand.length },
          "cannot go on with the stream; will try again",
        );
        await backoff.wait(signal);
      }
    }
  } finally {
    signal.removeEventListener("abort", onStop);
    clearTimeout(graceTimer);
    blocking.disconnect();
  }
}

const sizeOf = (fields: Record<string, string>): number =>
  Object.values(fields).reduce((sum, value) => sum + value.length, 0);

/** What is abandoned here goes on or fails by itself; its entries come again. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    work.catch(() => undefined);
  }
}

async function makeGroup(redis: Redis, stream: string, group: string): Promise<void> {
  try {
    await redis.xgroup("CREATE", stream, group, "0", "MKSTREAM");
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes("BUSYGROUP")) throw error;
  }
}

type RawEntry = [id: string, fields: string[] | null] | null;

async function claimAbandoned(
  redis: Redis,
  stream: string,
  group: string,
  idleMs: number,
  count: number,
): Promise<StreamEntry[]> {
  let cursor = "0-0";
  do {
    const answer = await redis.xautoclaim(stream, group, CONSUMER, idleMs, cursor, "COUNT", count);
    const [next, claimed] = answer as [string, RawEntry[]];
    const entries = toEntries(claimed);
    if (entries.length > 0) return entries;
    cursor = next;
  } while (cursor !== "0-0");
  return [];
}

function toEntries(raw: RawEntry[]): StreamEntry[] {
  return raw.flatMap((entry) => {
    // Taken by somebody, and deleted since.
    if (!entry?.[1]) return [];
    const fields: Record<string, string> = {};
    for (let i = 0; i + 1 < entry[1].length; i += 2) fields[entry[1][i]!] = entry[1][i + 1]!;
    return [{ id: entry[0], fields }];
  });
}
