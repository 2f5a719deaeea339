import { Retention } from "../../shared/contracts/tenant-settings.ts";
import { Residency } from "../../shared/contracts/regions.ts";
import { orUnavailable } from "./database-error.ts";
import type { Database } from "./database.ts";

export interface TenantRetention {
  tenantId: string;
  residency: Residency;
  retention: Retention;
}

export interface RetentionStore {
  /** Tenants that have a retention of their own. @throws ApiError dependency_unavailable */
  tenants(): Promise<TenantRetention[]>;
  /**
   * Removes results of a tenant's jobs from before `beforeMs` (Unix), a batch of rows at a time, until there are none or `signal` is
   * aborted; settles to how many. `sinceMs`: older ones were removed before.
   */
  dropResults(
    tenantId: string,
    range: { sinceMs: number; beforeMs: number },
    signal: AbortSignal,
  ): Promise<number>;
}

const BATCH = 500;

export function createRetentionStore({ primary }: Pick<Database, "primary">): RetentionStore {
  return {
    async tenants() {
      const rows = await orUnavailable(
        () => primary<{ id: string; residency: string; retention: unknown }[]>`
          select id, residency, retention from tenants where retention <> '{}'`,
      );
      return rows.map(({ id, residency, retention }) => ({
        tenantId: id,
        residency: Residency.parse(residency),
        retention: Retention.parse(retention),
      }));
    },

    async dropResults(tenantId, { sinceMs, beforeMs }, signal) {
      const [since, before] = [new Date(sinceMs).toISOString(), new Date(beforeMs).toISOString()];
      for (let dropped = 0; ;) {
        signal.throwIfAborted();
        const { count } = await orUnavailable(
          () => primary`
            delete from results using (
              select j.id, j.created_at from jobs j
              where j.tenant_id = ${tenantId} and j.created_at >= ${since}::text::timestamptz
                and j.created_at < ${before}::text::timestamptz
                and exists (select from results r where r.job_id = j.id and r.created_at = j.created_at)
              limit ${BATCH}) old
            where results.job_id = old.id and results.created_at = old.created_at`,
        );
        dropped += count;
        if (count < BATCH) return dropped;
      }
    },
  };
}
