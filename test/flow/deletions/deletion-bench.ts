import { createDeletions } from "../../../regions/deletions/create-deletions.ts";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import { createDeletionOrders } from "../../../regions/results/deletion-orders.ts";
import { createEraseJobs } from "../../../regions/results/erase-jobs.ts";
import { createOfferRelay } from "../../../regions/results/offer-relay.ts";
import { createRedis } from "../../../regions/results/redis.ts";
import { createResultCache } from "../../../regions/results/result-cache.ts";
import { createTombstones } from "../../../regions/results/tombstones.ts";
import type { Database } from "../../../regions/store/database.ts";
import { createDatabaseDeletions } from "../../../regions/store/deletions.ts";
import type { DeletionOrder, DeletionScope } from "../../../shared/contracts/deletions.ts";
import { mintDeletionId } from "../../../shared/contracts/deletions.ts";
import type { Residency } from "../../../shared/contracts/regions.ts";
import { silent, type RegionBench } from "../api/region-bench.ts";

/** A region's part of delete-my-data over a bench's Redis and objects; the ledger knows none of what it is offered. */
export function deletionsOf(bench: RegionBench, database: Database) {
  const redis = createRedis(bench.redis.url);
  const stop = new AbortController();
  let now = Date.now();
  const clock = () => now;
  const tombstones = createTombstones(redis, clock);
  const orders = createDeletionOrders(redis, tombstones, clock);
  const results = createResultCache({
    redis,
    tombstones,
    readObject: (key, max) => bench.objects.getText(key, max),
  });
  const relay = createOfferRelay({
    redis,
    offerCompletions: async (offers) =>
      offers.map(({ job_id, epoch }) => ({ job_id, epoch, verdict: "unknown" })),
    deleteObject: (key) => bench.objects.delete(key),
    eraseUpload: (key) => bench.objects.eraseVersions(key),
    cache: results,
    logger: silent,
    metrics: createMetrics(),
    stream: { blockMs: 50 },
  });
  const relaying = relay.run(stop.signal);
  const open = () =>
    createDeletions({
      orders,
      queue: bench.queue,
      redis: createEraseJobs(redis),
      tombstones,
      database: createDatabaseDeletions(database),
      objects: bench.objects,
      logger: silent,
      metrics: createMetrics(),
      retryMs: 10,
      sweepsMs: [60_000],
      now: clock,
    });
  const deletions = open();

  /** Carries out what is due until this order is done here. */
  async function untilDone(order: DeletionOrder) {
    for (;;) {
      now = Math.max(now + 20, Date.now());
      await deletions.work(stop.signal);
      const state = await orders.take(order);
      if (state.done_at !== null) return state;
    }
  }

  return {
    redis,
    orders,
    tombstones,
    results,
    deletions,
    untilDone,
    advance: (ms: number) => void (now += ms),
    work: () => deletions.work(stop.signal),
    async close() {
      stop.abort();
      await relaying;
      redis.disconnect();
    },
  };
}

export function orderOf(
  tenantId: string,
  scope: DeletionScope,
  more: Partial<DeletionOrder> & { residency?: Residency } = {},
): DeletionOrder {
  return {
    v: 1,
    id: mintDeletionId(),
    tenant_id: tenantId,
    residency: "global",
    scope,
    requested_at: new Date(Date.now() + 1).toISOString(),
    jobs: [],
    ...more,
  };
}
