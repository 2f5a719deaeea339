import { z } from "zod";
import { UsageUnit, type UsageDay, type UsageReport } from "../../shared/contracts/usage.ts";
import { sql } from "./drizzle.ts";
import type { Database } from "./database.ts";
import { invalidCursor, readCursor, writeCursor } from "./list-cursor.ts";

export interface UsageQuery {
  tenantId: string;
  /** Days, both in it. */
  from: string;
  to: string;
  /** Days in a page. */
  limit: number;
  cursor?: string | undefined;
}

export interface UsageRead {
  /**
   * A tenant's usage by day and stage, as this region's server has it, the oldest day first.
   * @throws ApiError invalid_request (a cursor of another list, or none of ours) | dependency_unavailable
   */
  daily(query: UsageQuery): Promise<UsageReport>;
}

interface Row extends Record<string, unknown> {
  day: string;
  stage: string;
  unit: string;
  quantity: number;
  usd: number;
  events: number;
}

const Day = z.iso.date();

export function createUsageRead(database: Database): UsageRead {
  return {
    async daily({ tenantId, from, to, limit, cursor }) {
      const scope = ["usage", tenantId, from, to];
      const place = cursor === undefined ? undefined : Day.safeParse(readCursor(cursor, scope));
      if (place && !place.success) throw invalidCursor();
      const first = place?.data ?? from;
      const { rows, rolledAt } = await database.read(async (orm) => {
        // The newest sums may come in between the two reads, and then tell more than the time says; never less.
        const [state] = await orm.execute<{ rolled_at: string | null }>(sql`
          select case when isfinite(rolled_at) then to_char(rolled_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') end
            as rolled_at from usage_rollup`);
        const found = await orm.execute<Row>(sql`
          select day::text as day, stage, unit, quantity, usd::float8 as usd, events::float8 as events
          from usage_daily
          where tenant_id = ${tenantId} and day between ${first}::text::date and ${to}::text::date
            and day in (
              select distinct day from usage_daily
              where tenant_id = ${tenantId} and day between ${first}::text::date and ${to}::text::date
              order by day limit ${limit + 1})
          order by day, stage, unit`);
        return { rows: [...found], rolledAt: state?.rolled_at ?? null };
      });
      const days = [...Map.groupBy(rows, (row) => row.day)].map(([day, stages]) =>
        toDay(day, stages),
      );
      const next = days[limit];
      return {
        from,
        to,
        as_of: rolledAt,
        data: days.slice(0, limit),
        next_cursor: next ? writeCursor(scope, next.day) : null,
      };
    },
  };
}

function toDay(day: string, rows: readonly Row[]): UsageDay {
  const stages = rows.map(({ stage, unit, quantity, usd, events }) => ({
    stage,
    unit: UsageUnit.parse(unit),
    quantity,
    usd,
    events,
  }));
  // Billionths of a dollar are what a row holds; sums of binary fractions would show more.
  const usd = Number(stages.reduce((sum, stage) => sum + stage.usd, 0).toFixed(9));
  return { day, usd, stages };
}
