import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import type { Pool } from "./postgres-pool.ts";

/** Names of our advisory locks; any constant that nobody else uses in this database. */
export const advisoryLocks = {
  migrations: 7_310_001,
  partitions: 7_310_002,
  usage: 7_310_003,
} as const;

/**
 * Brings the schema up to date: runs the files of migrations/ that the table schema_migrations does not have, in the
 * order of their names, in one transaction under an advisory lock. Runners that come at once wait for each other.
 * @param primary a pool whose statements may take as long as a migration, and the wait for another's
 * @returns names of the files that this call ran
 * @throws Error when a file that has run before has changed since
 */
export async function migrate(
  primary: Pool,
  folder: URL = new URL("./migrations/", import.meta.url),
): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".sql")).sort();
  const files = await Promise.all(
    names.map(async (name) => {
      const text = await readFile(new URL(name, folder), "utf8");
      return { name, text, sha256: createHash("sha256").update(text).digest("hex") };
    }),
  );
  return primary.begin(async (sql) => {
    await sql`select pg_advisory_xact_lock(${advisoryLocks.migrations})`;
    await sql`create table if not exists schema_migrations (
      name text primary key, sha256 text not null, applied_at timestamptz not null default now()
    )`;
    const rows = await sql<
      { name: string; sha256: string }[]
    >`select name, sha256 from schema_migrations`;
    const done = new Map(rows.map((row) => [row.name, row.sha256]));
    const ran: string[] = [];
    for (const { name, text, sha256 } of files) {
      const before = done.get(name);
      if (before === sha256) continue;
      if (before !== undefined) throw new Error(`the migration ${name} has changed since it ran`);
      await sql.unsafe(text).simple();
      await sql`insert into schema_migrations (name, sha256) values (${name}, ${sha256})`;
      ran.push(name);
    }
    return ran;
  }) as Promise<string[]>;
}
