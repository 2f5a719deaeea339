import { advisoryLocks } from "./migrate.ts";
import type { Pool } from "./postgres-pool.ts";
import { partitionedTables } from "./schema.ts";

/** A month in UTC, as `2026-11`. */
export type Month = string;

export const monthOf = (ms: number): Month => new Date(ms).toISOString().slice(0, 7);

/** `count` months after `month` (before it, when negative). */
export function addMonths(month: Month, count: number): Month {
  const [year, index] = month.split("-").map(Number) as [number, number];
  return monthOf(Date.UTC(year, index - 1 + count, 1));
}

/** Months that every keeper makes sure of: the last one to three ahead. */
export function currentMonths(nowMs: number): Month[] {
  return [-1, 0, 1, 2, 3].map((offset) => addMonths(monthOf(nowMs), offset));
}

/**
 * Makes the partitions of these months where they are missing, in all partitioned tables.
 * Safe to call from many processes at once.
 * @returns names of the partitions that this call made
 */
export async function ensurePartitions(primary: Pool, months: readonly Month[]): Promise<string[]> {
  const wanted = months.flatMap((month) => {
    if (!/^\d{4}-(0[1-9]|1[0-2])$/.test(month)) throw new RangeError(`${month} is no month`);
    return partitionedTables.map((table) => ({
      table,
      month,
      name: `${table}_${month.replace("-", "_")}`,
    }));
  });
  const missing = await findMissing(primary, wanted);
  if (missing.length === 0) return [];
  return primary.begin(async (sql) => {
    await sql`select pg_advisory_xact_lock(${advisoryLocks.partitions})`;
    const stillMissing = await findMissing(sql as unknown as Pool, missing);
    for (const { table, month, name } of stillMissing) {
      const [from, to] = [`${month}-01 00:00:00+00`, `${addMonths(month, 1)}-01 00:00:00+00`];
      await sql.unsafe(
        `create table ${name} partition of ${table} for values from ('${from}') to ('${to}')`,
      );
    }
    return stillMissing.map(({ name }) => name);
  }) as Promise<string[]>;
}

async function findMissing<T extends { name: string }>(sql: Pool, wanted: T[]): Promise<T[]> {
  const names = JSON.stringify(wanted.map(({ name }) => name));
  const rows = await sql<{ name: string }[]>`
    select name from jsonb_array_elements_text(${names}::text::jsonb) as name where to_regclass(name) is null`;
  const missing = new Set(rows.map(({ name }) => name));
  return wanted.filter(({ name }) => missing.has(name));
}
