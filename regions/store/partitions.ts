import { advisoryLocks } from "./migrate.ts";
import type { TransactionSql } from "postgres";
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

/** Rows are kept for at least so many months; then their whole month goes. */
export const RETENTION_MONTHS = 24;

/** How long a partition's removal may wait for readers, and keep others waiting behind it. */
const DROP_LOCK_MS = 2000;

/**
 * Makes what is missing of the months around now, and drops those past the retention, however long ago it last ran.
 * Safe to call from many processes at once.
 * @throws the database's error, also when readers of an old partition hold it up: what is left is done the next time
 */
export async function keepPartitions(
  primary: Pool,
  nowMs: number,
): Promise<{ made: string[]; dropped: string[] }> {
  const made = await ensurePartitions(primary, currentMonths(nowMs));
  const dropped = await dropPartitions(primary, addMonths(monthOf(nowMs), -RETENTION_MONTHS));
  return { made, dropped };
}

/**
 * Drops the partitions of all months before `month`, the oldest first.
 * @returns names of the partitions that this call dropped
 */
export async function dropPartitions(primary: Pool, month: Month): Promise<string[]> {
  const tables = `{${partitionedTables.join()}}`;
  const partitions = await primary<{ name: string }[]>`
    select relname as name from pg_inherits join pg_class on pg_class.oid = inhrelid
    where inhparent = any (${tables}::text::regclass[]) order by 1`;
  const byMonth = Map.groupBy(partitions, ({ name }) => monthOfPartition(name));
  const dropped: string[] = [];
  for (const old of [...byMonth.keys()].filter((each) => each < month).sort()) {
    await primary.begin(async (sql) => {
      await sql`select pg_advisory_xact_lock(${advisoryLocks.partitions})`;
      const missing = await findMissing(sql, byMonth.get(old)!);
      const names = byMonth.get(old)!.flatMap((each) => (missing.includes(each) ? [] : each.name));
      if (names.length === 0) return;
      await sql
        .unsafe(`set local lock_timeout = ${DROP_LOCK_MS}; drop table ${names.join()}`)
        .simple();
      dropped.push(...names);
    });
  }
  return dropped;
}

/** The month of `jobs_2026_11`; a partition of another name is of no month, and never old. */
function monthOfPartition(name: string): Month {
  const match = /^[a-z_]+_(\d{4})_(\d{2})$/.exec(name);
  return match ? `${match[1]}-${match[2]}` : "~";
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
    const stillMissing = await findMissing(sql, missing);
    for (const { table, month, name } of stillMissing) {
      const [from, to] = [`${month}-01 00:00:00+00`, `${addMonths(month, 1)}-01 00:00:00+00`];
      // Made apart and attached: unlike `partition of`, that waits for no reader of the table, and holds none up.
      await sql.unsafe(`create table ${name} (like ${table} including all)`);
      await sql.unsafe(
        `alter table ${table} attach partition ${name} for values from ('${from}') to ('${to}')`,
      );
    }
    return stillMissing.map(({ name }) => name);
  }) as Promise<string[]>;
}

/** Reads the catalogue itself: `to_regclass` may answer from a cache that has not heard of another's commit. */
async function findMissing<T extends { name: string }>(
  sql: Pool | TransactionSql,
  wanted: T[],
): Promise<T[]> {
  const names = JSON.stringify(wanted.map(({ name }) => name));
  const rows = await sql<{ name: string }[]>`
    select name from jsonb_array_elements_text(${names}::text::jsonb) as name
    where not exists (
      select from pg_class
      where relname = name and relnamespace = (select oid from pg_namespace where nspname = current_schema()))`;
  const missing = new Set(rows.map(({ name }) => name));
  return wanted.filter(({ name }) => missing.has(name));
}
