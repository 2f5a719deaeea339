import { addMonths, ensurePartitions, type Month } from "../../../regions/store/partitions.ts";
import { partitionedTables } from "../../../regions/store/schema.ts";
import type { Pool } from "../../../regions/store/postgres-pool.ts";

export const TENANTS = 20;
export const USERS = 500;

/**
 * Fills `jobs` with rows of many months and makes `flat_jobs`, one table with the same rows and indexes. Indexes are made
 * after the rows, on both alike: it is quicker.
 */
export async function fillJobs(pool: Pool, months: readonly Month[], rows: number): Promise<void> {
  await ensurePartitions(pool, months);
  // Only what the flat table has too is to be removed.
  for (const table of partitionedTables.filter((name) => name !== "jobs")) {
    await pool.unsafe(
      months.map((month) => `drop table ${table}_${month.replace("-", "_")};`).join(""),
    );
  }
  const indexes = await pool<{ name: string; definition: string; is_key: boolean }[]>`
    select relname as name, pg_get_indexdef(oid) as definition, relname = 'jobs_pkey' as is_key
    from pg_class join pg_index on indexrelid = oid where indrelid = 'jobs'::regclass`;
  await pool.unsafe("alter table jobs drop constraint jobs_pkey");
  for (const { name, is_key } of indexes) if (!is_key) await pool.unsafe(`drop index ${name}`);
  const each = Math.ceil(rows / months.length);
  // Rows stand in the order of their time, as they came.
  for (const month of months) {
    await pool`
      insert into jobs (id, created_at, tenant_id, kind, residency, region, priority, dispatch, attempt, status, user_id,
        audio_sha256, audio_duration_s, result_key, started_at, finished_at, usd)
      select 'job_use_' || id, uuid_extract_timestamp(id), 'ten_' || (random() * ${TENANTS - 1})::int, 'analysis', 'global',
        'us-east', 'standard', 1, 1, 'succeeded', 'user-' || (random() * ${USERS - 1})::int,
        encode(sha256(id::text::bytea), 'hex'), 10 + random() * 50, 'results/global/job_use_' || id || '/1-1.json',
        uuid_extract_timestamp(id), uuid_extract_timestamp(id) + interval '2 s', 0.00002
      from (
        select uuidv7(${`${month}-01`}::text::timestamptz - now() + (n + 0.5) / ${each}::float8
          * (${`${addMonths(month, 1)}-01`}::text::timestamptz - ${`${month}-01`}::text::timestamptz)) as id
        from generate_series(0, ${each - 1}::int) as n)`;
  }
  await pool.unsafe(`create table flat_jobs (like jobs including defaults including constraints);
    insert into flat_jobs select * from jobs`);
  // An index of the partitioned table reads "ON ONLY" when it is told as SQL.
  const definitions = indexes.map(({ definition }) => definition.replace(" ON ONLY ", " ON "));
  const make = async (statements: readonly string[]) => {
    for (const statement of statements) await pool.unsafe(statement);
  };
  await Promise.all([
    make(definitions),
    make(
      definitions.map((sql) =>
        sql.replace(/INDEX (\w+) ON [\w.]*jobs /, "INDEX flat_$1 ON flat_jobs "),
      ),
    ),
  ]);
  await pool.unsafe("vacuum (analyze) jobs");
  await pool.unsafe("vacuum (analyze) flat_jobs");
  await pool.unsafe("checkpoint").catch(() => undefined);
}

/** Bytes of a table with its partitions and indexes. */
export async function bytesOf(pool: Pool, table: string): Promise<number> {
  const [row] = await pool<[{ bytes: number }]>`
    select (pg_total_relation_size(${table}::text::regclass) + coalesce(sum(pg_total_relation_size(inhrelid)), 0))::float8
      as bytes
    from pg_inherits where inhparent = ${table}::text::regclass`;
  return row.bytes;
}
