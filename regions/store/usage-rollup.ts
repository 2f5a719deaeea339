import { startOfDay } from "../../shared/contracts/day-range.ts";
import type { TransactionSql } from "postgres";
import type { Database } from "./database.ts";
import { orUnavailable } from "./database-error.ts";
import { advisoryLocks } from "./migrate.ts";
import { addMonths, monthOf, RETENTION_MONTHS } from "./partitions.ts";

export interface UsageRollup {
  /**
   * Brings `usage_daily` up to date: sums anew every day of every tenant for which usage came in since the last time,
   * late rows of old days included. Repeating it changes nothing.
   * @returns days and tenants summed, together; undefined when another keeper is at it, or was within `minPauseMs`
   * @throws ApiError dependency_unavailable
   */
  roll(minPauseMs?: number): Promise<number | undefined>;
}

/** @param now Unix ms */
export function createUsageRollup(database: Database, now: () => number = Date.now): UsageRollup {
  async function sumDay(sql: TransactionSql, day: string, tenants: readonly string[]) {
    const ids = JSON.stringify(tenants);
    await sql`
      insert into usage_daily as old (tenant_id, day, stage, unit, quantity, usd, events)
      select tenant_id, ${day}::text::date, stage, unit, sum(quantity), sum(usd), count(*)
      from usage_events
      where created_at >= ${startOfDay(day)}::timestamptz and created_at < ${startOfDay(day, 1)}::timestamptz
        and tenant_id in (select jsonb_array_elements_text(${ids}::text::jsonb))
      group by tenant_id, stage, unit
      on conflict (tenant_id, day, stage, unit) do update
        set quantity = excluded.quantity, usd = excluded.usd, events = excluded.events
        where (old.quantity, old.usd, old.events) is distinct from (excluded.quantity, excluded.usd, excluded.events)`;
  }

  return {
    roll: (minPauseMs = 0) =>
      orUnavailable(() =>
        database.primary.begin(async (sql) => {
          const [lock] = await sql<[{ taken: boolean }]>`
            select pg_try_advisory_xact_lock(${advisoryLocks.usage}) as taken`;
          if (!lock.taken) return undefined;
          // Before the events are read: whatever is not finished at this point is looked for again the next time.
          const [state] = await sql<[{ done: string; horizon: string; is_due: boolean }]>`
            select done_xid::text as done, pg_snapshot_xmin(pg_current_snapshot())::text as horizon,
              rolled_at <= clock_timestamp() - ${minPauseMs}::float8 * interval '1 ms' as is_due
            from usage_rollup`;
          if (!state.is_due) return undefined;
          // Sums outlive their events; of a month that was dropped there are none to sum from.
          const oldest = `${addMonths(monthOf(now()), -RETENTION_MONTHS)}-01`;
          const touched = await sql<{ tenant_id: string; day: string }[]>`
            select distinct tenant_id, to_char(created_at at time zone 'UTC', 'YYYY-MM-DD') as day
            from usage_events
            where written_xid >= ${state.done}::text::bigint and created_at >= ${oldest}::text::timestamptz`;
          for (const [day, rows] of Map.groupBy(touched, (row) => row.day)) {
            await sumDay(
              sql,
              day,
              rows.map(({ tenant_id }) => tenant_id),
            );
          }
          await sql`update usage_rollup set done_xid = ${state.horizon}::text::bigint, rolled_at = now()`;
          return touched.length;
        }),
      ) as Promise<number | undefined>,
  };
}
