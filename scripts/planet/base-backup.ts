import { constants } from "node:fs";
import { copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Sql } from "postgres";

/** Folders whose content a backup must not or need not carry; they have to exist. */
const EMPTIED = new Set([
  "pg_wal",
  "pg_replslot",
  "pg_dynshmem",
  "pg_notify",
  "pg_serial",
  "pg_snapshots",
  "pg_stat_tmp",
  "pg_subtrans",
]);
const LEFT_OUT =
  /^(postmaster\.(pid|opts)|pg_internal\.init.*|pgsql_tmp.*|standby\.signal|recovery\.signal)$/;

/**
 * Copies a running server's data folder by Postgres's low-level backup interface ("Making a Base Backup Using the
 * Low Level API" in its manual). The WAL written meanwhile has to be kept by a replication slot made before.
 *
 * @param sql a superuser's client with a single connection: start and stop have to be in one session
 * @param source the server's data folder
 * @param target an empty folder
 */
export async function baseBackup(
  sql: Sql,
  source: string,
  target: string,
  label: string,
): Promise<void> {
  await sql`select pg_backup_start(${label}, true)`;
  await copyTree(source, target, "");
  const [end] = await sql<{ labelfile: string; spcmapfile: string }[]>`
    select labelfile, spcmapfile from pg_backup_stop(false)`;
  if (end === undefined) throw new Error("pg_backup_stop gave no answer");
  await writeFile(join(target, "backup_label"), end.labelfile, { mode: 0o600 });
  if (end.spcmapfile !== "")
    await writeFile(join(target, "tablespace_map"), end.spcmapfile, { mode: 0o600 });
}

async function copyTree(source: string, target: string, path: string): Promise<void> {
  await mkdir(join(target, path), { recursive: true, mode: 0o700 });
  const emptied = EMPTIED.has(path);
  for (const entry of await readdir(join(source, path), { withFileTypes: true })) {
    if (LEFT_OUT.test(entry.name)) continue;
    const at = join(path, entry.name);
    if (entry.isDirectory()) {
      await copyTree(source, target, at);
    } else if (entry.isFile() && !emptied) {
      await copyFile(join(source, at), join(target, at), constants.COPYFILE_FICLONE).catch(
        (error: NodeJS.ErrnoException) => {
          // Tables are dropped while a server runs; the WAL tells the replica the same.
          if (error.code !== "ENOENT") throw error;
        },
      );
    }
  }
}
