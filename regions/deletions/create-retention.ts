import { isPermitted, type Region } from "../../shared/contracts/regions.ts";
import type { Logger } from "../ops/logger.ts";
import type { Metrics } from "../ops/metrics.ts";
import type { EraseJobs } from "../results/erase-jobs.ts";
import type { ObjectStore } from "../store/object-store-port.ts";
import type { RetentionStore, TenantRetention } from "../store/retention.ts";

export interface RetentionParts {
  region: Region;
  store: RetentionStore;
  redis: Pick<EraseJobs, "eraseOldStages">;
  objects: Pick<ObjectStore, "eraseVersions">;
  logger: Logger;
  metrics: Metrics;
  /** Unix ms. */
  now?: () => number;
}

const DAY_MS = 86_400_000;
const STAGE_DAYS = [7, 30];
/** Where no result is kept, an upload goes once it was used; this is for other regions' replicas, and for what no run came to use. */
const UNUSED_UPLOADS_DAYS = 7;

/**
 * Removes what is past its tenant's retention from this region, and from the database, whichever region comes first. What stages gave
 * goes with results: it is what they are made of.
 */
export function createRetention(parts: RetentionParts) {
  const { region, store, redis, objects, logger, metrics, now = Date.now } = parts;
  const removed = metrics.counter(
    "antiphon_retention_removed_total",
    "What was removed at the end of its tenant's retention, by kind.",
  );
  /** Up to when rows were looked through; a retention that was made shorter reaches further than that. */
  const done = new Map<string, number>();

  async function keep(tenant: TenantRetention, signal: AbortSignal): Promise<void> {
    const { tenantId, residency, retention } = tenant;
    const cutoff = (days: number) => new Date(now() - days * DAY_MS);
    const { results_days, audio_days } = retention;
    const { uploads_days = results_days === 0 ? UNUSED_UPLOADS_DAYS : undefined } = retention;
    const count = async (kind: string, work: Promise<number>) => {
      removed.inc({ kind }, await work);
    };
    const erase = (kind: string, folder: string, upTo: Date) => {
      const prefix = `${folder}/${residency}/${tenantId}/`;
      return count(kind, objects.eraseVersions(prefix, { upTo, signal }));
    };
    if (results_days !== undefined) {
      const upTo = cutoff(results_days);
      const range = { sinceMs: done.get(tenantId) ?? 0, beforeMs: upTo.getTime() };
      await count("rows", store.dropResults(tenantId, range, signal));
      done.set(tenantId, range.beforeMs);
      if (isPermitted(residency, region)) {
        await erase("results", "results", upTo);
        for (const days of STAGE_DAYS) await erase("stages", `stages/${days}d`, upTo);
        const owner = { tenant_id: tenantId, residency };
        await count("stages", redis.eraseOldStages(owner, upTo.getTime()));
      }
    }
    if (!isPermitted(residency, region)) return;
    if (audio_days !== undefined) await erase("audio", "audio", cutoff(audio_days));
    if (uploads_days !== undefined) await erase("uploads", "uploads", cutoff(uploads_days));
  }

  return {
    /** Looks through all tenants once; one whose turn fails is left for the next time. */
    async work(signal: AbortSignal): Promise<void> {
      for (const tenant of await store.tenants()) {
        await keep(tenant, signal).catch((error: unknown) => {
          signal.throwIfAborted();
          logger.warn({ err: error, tenant_id: tenant.tenantId }, "cannot keep a retention now");
        });
      }
    },
  };
}
