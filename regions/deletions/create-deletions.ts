import {
  mintDeletionId,
  type DeletedJob,
  type DeletionOrder,
} from "../../shared/contracts/deletions.ts";
import { audioKey, resultKey, stageKey, uploadKey } from "../../shared/contracts/object-keys.ts";
import type { Logger } from "../ops/logger.ts";
import type { Metrics } from "../ops/metrics.ts";
import type { Queue } from "../queue/queue-port.ts";
import type { DeletionOrders } from "../results/deletion-orders.ts";
import type { EraseJobs } from "../results/erase-jobs.ts";
import { TOMBSTONE_KEPT_MS, type Tombstones } from "../results/tombstones.ts";
import type { DatabaseDeletions } from "../store/deletions.ts";
import type { ObjectStore } from "../store/object-store-port.ts";
import { createBlankTexts } from "./blank-texts.ts";

export interface DeletionsParts {
  orders: DeletionOrders;
  queue: Pick<Queue, "cancel" | "state">;
  redis: EraseJobs;
  tombstones: Pick<Tombstones, "prune" | "jobs">;
  database: DatabaseDeletions;
  objects: Pick<ObjectStore, "eraseVersions" | "get" | "replace">;
  logger: Logger;
  metrics: Metrics;
  /** Until a part that could not be done is tried again. */
  retryMs?: number;
  /** After it is done, an order is carried out again so much later each time: for what was under way, and for late replicas. */
  sweepsMs?: readonly number[];
  /** Unix ms. */
  now?: () => number;
}

/** A region's part of delete-my-data. */
export interface Deletions {
  /** Carries out the orders that are due; what cannot be done now comes again. Settles to how many there were. */
  work(signal: AbortSignal): Promise<number>;
  /**
   * Orders anew what was deleted and has rows again, as in a database that was restored from a backup. Settles to how many jobs that were.
   */
  repeat(signal: AbortSignal): Promise<number>;
  /** Drops tombstones past their time. */
  prune(): Promise<void>;
}

const SWEEPS_MS = [60_000, 10 * 60_000, 3_600_000, 24 * 3_600_000];
const STAGE_DAYS = [7, 30];
const MOST_ROWS = 1_000;
/** Rows are dropped after two years, and so much later nothing of them can be left anywhere. */
const DATABASE_KEPT_MS = 26 * 31 * 24 * 3_600_000;

/** Redis is gone through with all that waits there for the database: while that is away, and more and more waits, no more often. */
const SEARCH_AGAIN_MS = 5 * 60_000;

/** Something of the order is still under way, and ends by itself. */
class NotYetError extends Error {}

/**
 * Carries out orders to delete, one at a time, each in steps that may be repeated: the database's tombstone, behind which no writer
 * adds rows; the end of what runs; then rows, Redis and the bucket. Only what is away or under way keeps a store from being done.
 */
export function createDeletions(parts: DeletionsParts): Deletions {
  const { orders, queue, redis, tombstones, database, objects, logger, metrics } = parts;
  const { retryMs = 2_000, sweepsMs = SWEEPS_MS, now = Date.now } = parts;
  const blankTexts = createBlankTexts(objects);
  /** When Redis was gone through for an order that is not done. */
  const searchedAtMs = new Map<string, number>();
  const late = metrics.counter(
    "antiphon_deletions_late_total",
    "Objects and keys that came after their deletion, and were removed again.",
  );

  /** Stops what waits and runs. @throws NotYetError until all of it has ended */
  async function end(jobs: readonly DeletedJob[]): Promise<void> {
    let open = 0;
    for (const { id } of jobs) {
      const outcome = await queue.cancel(id);
      if (outcome === "canceled" || outcome === "canceling") open++;
    }
    if (open > 0) throw new NotYetError(`${open} jobs have yet to end`);
  }

  async function erasePostgres(order: DeletionOrder, signal: AbortSignal): Promise<void> {
    await database.bury(order, signal);
    for (let after: string | undefined; ;) {
      const page = await database.find(order, after);
      if (page.length === 0) break;
      // Before their rows go: afterwards nobody could tell where their recordings lie.
      await orders.addFound(order.id, page);
      await eraseRows(order, page, signal);
      after = page.at(-1)!.id;
    }
    await orders.storeDone(order.id, "postgres");
  }

  /** In the order of ids, a page at a time. */
  async function eraseRows(
    order: DeletionOrder,
    jobs: readonly DeletedJob[],
    signal: AbortSignal,
  ): Promise<void> {
    for (let at = 0; at < jobs.length; at += MOST_ROWS) {
      const ids = jobs.slice(at, at + MOST_ROWS).map(({ id }) => id);
      // An order may name a job of which nobody here knows any more whose it was.
      const removed = await database.erase(order.tenant_id, ids, signal);
      await orders.count(order.id, "postgres", removed);
    }
  }

  async function eraseRedis(order: DeletionOrder, signal: AbortSignal): Promise<number> {
    const jobs = await redis.find(order);
    await orders.addFound(order.id, [...jobs, ...order.jobs]);
    const all = await orders.found(order.id);
    await end(all);
    if (await redis.underWay(order, all)) throw new NotYetError("messages are under way");
    const removed = await redis.erase(order, all);
    // Rows beside a job's own, whether or not it had one.
    await eraseRows(order, all, signal);
    const hashes = "all" in order.scope ? undefined : await unused(order, all);
    const counts = { ...removed, stages: await redis.eraseStages(order, hashes) };
    await orders.count(order.id, "redis", counts);
    await orders.storeDone(order.id, "redis");
    return Object.values(counts).reduce((sum, each) => sum + each, 0);
  }

  /** Recordings of these jobs that none of the tenant's other jobs has. */
  async function unused(order: DeletionOrder, jobs: readonly DeletedJob[]): Promise<string[]> {
    const hashes = [...new Set(jobs.flatMap(({ sha256 }) => sha256 ?? []))];
    const [stored, coming] = await Promise.all([
      database.stillUsed(order.tenant_id, hashes),
      redis.stillUsed(order.tenant_id, hashes),
    ]);
    return hashes.filter((hash) => !stored.has(hash) && !coming.has(hash));
  }

  async function eraseObjects(order: DeletionOrder, signal: AbortSignal): Promise<number> {
    const owner = { residency: order.residency, tenantId: order.tenant_id };
    const counts: Record<string, number> = {};
    const erase = async (kind: string, prefix: string, upTo?: Date) => {
      const call = { signal, ...(upTo ? { upTo } : {}) };
      counts[kind] = (counts[kind] ?? 0) + (await objects.eraseVersions(prefix, call));
    };
    if ("all" in order.scope) {
      // What came later belongs to what the tenant did later.
      const upTo = new Date(order.requested_at);
      const whole = (kind: string) => `${kind}/${owner.residency}/${owner.tenantId}/`;
      for (const kind of ["uploads", "audio", "results", "speech"]) {
        await erase(kind, whole(kind), upTo);
      }
      for (const days of STAGE_DAYS) await erase("stages", whole(`stages/${days}d`));
    }
    const jobs = await orders.found(order.id);
    for (const { id, upload_id, text } of jobs) {
      await erase("results", folderOf(resultKey(owner, id, { dispatch: 0, attempt: 0 })));
      if (upload_id !== undefined && !text) await erase("uploads", uploadKey(owner, upload_id));
    }
    const texts = jobs.flatMap(({ upload_id, text }) =>
      upload_id !== undefined && text ? [{ key: uploadKey(owner, upload_id), text }] : [],
    );
    for (const [key, own] of Map.groupBy(texts, (each) => each.key)) {
      const ranges = own.map(({ text }) => text);
      counts["texts"] = (counts["texts"] ?? 0) + (await blankTexts(key, ranges, signal));
    }
    for (const sha256 of await unused(order, jobs)) {
      await erase("audio", audioKey(owner, sha256, ""));
      for (const days of STAGE_DAYS) {
        await erase("stages", folderOf(stageKey(days, owner, sha256, "")));
      }
    }
    await orders.count(order.id, "objects", counts);
    await orders.storeDone(order.id, "objects");
    return Object.values(counts).reduce((sum, each) => sum + each, 0);
  }

  async function carryOut(order: DeletionOrder, signal: AbortSignal): Promise<void> {
    const failures: unknown[] = [];
    let removed = 0;
    const wasDone = await orders.isStoreDone(order.id, "objects");
    // First: it tells which jobs there are.
    await erasePostgres(order, signal).catch((error: unknown) => void failures.push(error));
    const searched = searchedAtMs.get(order.id) ?? Number.NEGATIVE_INFINITY;
    if (failures.length === 0 || now() - searched >= SEARCH_AGAIN_MS) {
      searchedAtMs.set(order.id, now());
      const erasing = eraseRedis(order, signal).then((count) => void (removed += count));
      await erasing.catch((error: unknown) => void failures.push(error));
    }
    // Last: a run that has not ended could write again.
    if (failures.length === 0) removed += await eraseObjects(order, signal);
    if (failures.length > 0) throw failures[0];
    searchedAtMs.delete(order.id);
    if (wasDone && removed > 0) late.inc({}, removed);
    const sweeps = await orders.allDone(order.id);
    const next = sweepsMs[sweeps - 1];
    await (next === undefined ? orders.close(order.id) : orders.putOff(order.id, next));
    logger.info({ deletion: order.id, removed, sweeps }, "deleted what an order names");
  }

  return {
    async work(signal) {
      let seen = 0;
      for (;;) {
        signal.throwIfAborted();
        const order = await orders.next(retryMs);
        if (!order) return seen;
        seen++;
        try {
          await carryOut(order, signal);
        } catch (error) {
          signal.throwIfAborted();
          if (error instanceof NotYetError) {
            logger.info({ deletion: order.id, why: error.message }, "a deletion waits");
          } else {
            logger.warn({ err: error, deletion: order.id }, "a deletion cannot be carried out now");
          }
          await orders.putOff(order.id, retryMs);
        }
      }
    },
    async repeat(signal) {
      let returned = 0;
      for await (const page of tombstones.jobs()) {
        signal.throwIfAborted();
        const rows = await database.returned(page);
        const byOwner = Map.groupBy(rows, (row) => `${row.residency} ${row.tenantId}`);
        for (const ofOwner of byOwner.values()) {
          const { tenantId: tenant_id, residency, job } = ofOwner[0]!;
          await orders.take({
            v: 1,
            id: mintDeletionId(now()),
            tenant_id,
            residency,
            scope: { job_id: job.id },
            requested_at: new Date(now()).toISOString(),
            jobs: ofOwner.map((row) => row.job),
          });
        }
        returned += rows.length;
      }
      if (returned > 0) logger.warn({ jobs: returned }, "deleted jobs have rows again");
      return returned;
    },
    async prune() {
      await tombstones.prune();
      await database.forget(now() - Math.max(DATABASE_KEPT_MS, TOMBSTONE_KEPT_MS));
    },
  };
}

const folderOf = (key: string) => key.slice(0, key.lastIndexOf("/") + 1);
