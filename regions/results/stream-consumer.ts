import type { Logger } from "../ops/logger.ts";
import { firstConnection } from "../ops/first-connection.ts";
import { createBackoff } from "../ops/backoff.ts";
import { duplicateForBlocking, type Redis } from "./redis.ts";
import { define } from "./scripts.ts";

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
  /**
   * Where entries may be large: bytes of such a batch, at most, but for its last entry, so that what is held is less than this and one entry
   * more. It costs Redis several times as long to read them, since each passes through a script.
   */
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

/**
 * Reads a stream for good, batch after batch, until `signal` is aborted; rides out a Redis that is away. An entry may be
 * handled twice (after a crash, or by two processes at once), and is never skipped.
 */
export async function consumeStream(
  options: StreamConsumerOptions,
  signal: AbortSignal,
): Promise<void> {
  const { redis, stream, group, batchSize, maxBatchBytes, handle, logger } = options;
  const {
    blockMs = 1000,
    claimAfterMs = 15_000,
    youngClaimAfterMs = 1000,
    graceMs = 3000,
  } = options;
  const log = logger.child({ stream });
  const backoff = createBackoff(options.backoff);
  const blocking = duplicateForBlocking(redis, blockMs);
  const readEntries = createReadEntries(blocking, options);
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

  /** What nobody took yet; waits for it. */
  async function readNew(): Promise<StreamEntry[]> {
    const count = ["COUNT", batchSize, "BLOCK", blockMs] as const;
    const read = await blocking.xreadgroup(
      "GROUP",
      group,
      CONSUMER,
      ...count,
      "STREAMS",
      stream,
      ">",
    );
    return toEntries((read as [string, RawEntry[]][] | null)?.[0]?.[1] ?? []);
  }

  /** The same, by bytes. */
  async function readByBytes(): Promise<StreamEntry[]> {
    const { entries, last } = await readEntries();
    if (last !== undefined) {
      // Only waited for here: what is there then is taken all at once, as one write to the disk.
      await blocking.xread("COUNT", 1, "BLOCK", blockMs, "STREAMS", stream, last);
    }
    return entries;
  }

  async function step(): Promise<void> {
    if (!groupIsThere) {
      await makeGroup(redis, stream, group);
      groupIsThere = true;
    }
    if (inHand.length === 0 && performance.now() >= claimAtMs) {
      const idleMs = performance.now() < youngUntilMs ? youngClaimAfterMs : claimAfterMs;
      // ioredis, disconnected between two tries to connect, never tells of the commands that wait for the connection.
      const { looked, entries } = await orAborted(readEntries(idleMs), signal);
      inHand = entries;
      // As long as there were some, there may be more.
      if (looked === 0) claimAtMs = performance.now() + Math.max(50, idleMs / 3);
    }
    if (inHand.length === 0) {
      inHand = await orAborted(maxBatchBytes === undefined ? readNew() : readByBytes(), signal);
    }
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

type RawEntry = [id: string, fields: string[]];

/**
 * The next entries that nobody took, or those that lie with a consumer for `idleMs`. `looked`: how many of these there were, some of which may
 * have been removed; `last`, when nothing is left: what the group has taken so far.
 */
type ReadEntries = (
  idleMs?: number,
) => Promise<{ looked: number; entries: StreamEntry[]; last: string | undefined }>;

function createReadEntries(
  redis: Redis,
  { stream, group, batchSize, maxBatchBytes = Number.MAX_SAFE_INTEGER }: StreamConsumerOptions,
): ReadEntries {
  const read = define(redis, "read-entries", 1);
  const bounds = [String(batchSize), String(maxBatchBytes)];
  return async (idleMs) => {
    const idle = idleMs === undefined ? "" : String(idleMs);
    const answer = await read(stream, group, CONSUMER, ...bounds, idle);
    const [looked, raw, last] = answer as [number, RawEntry[], string?];
    return { looked, entries: toEntries(raw), last };
  };
}

function toEntries(raw: RawEntry[]): StreamEntry[] {
  return raw.map(([id, list]) => {
    const fields: Record<string, string> = {};
    for (let i = 0; i + 1 < list.length; i += 2) fields[list[i]!] = list[i + 1]!;
    return { id, fields };
  });
}
