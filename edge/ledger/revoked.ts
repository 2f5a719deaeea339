/** Longer than this no region keeps what waits: it would be asked about such a job before. */
const KEPT_MS = 3 * 24 * 3_600_000;
/** A region that did not hear of it is told again after this long. */
const RETRY_MS = 60_000;

/** A job of which a region may still have an older dispatch. */
export type RevokedJob = { job_id: string; region: string };

/**
 * The part of a shard that remembers which regions lost a job to another one, so that they can be told when they are back: what waits
 * there need not run, and what runs can stop. Nothing depends on it but work, since their ends are superseded anyway.
 */
export function createRevoked(sql: SqlStorage, now: () => number) {
  sql.exec(`
    CREATE TABLE IF NOT EXISTS revoked (
      job_id TEXT NOT NULL, region TEXT NOT NULL, due_at INTEGER, expires_at INTEGER NOT NULL,
      PRIMARY KEY (job_id, region)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS revoked_due ON revoked (due_at) WHERE due_at IS NOT NULL;
  `);

  /** A job was taken from one region and given to another. */
  function moved(jobId: string, from: string, to: string): void {
    sql.exec("INSERT OR REPLACE INTO revoked VALUES (?, ?, NULL, ?)", jobId, from, now() + KEPT_MS);
    drop({ job_id: jobId, region: to });
  }

  function drop({ job_id, region }: RevokedJob): void {
    sql.exec("DELETE FROM revoked WHERE job_id = ? AND region = ?", job_id, region);
  }

  /** The region is back: it is to be told now. */
  function hurry(region: string): void {
    sql.exec("UPDATE revoked SET due_at = ? WHERE region = ?", now(), region);
  }

  /** Up to `limit` that are to be told, each already put off for the case that this try fails. */
  function takeDue(limit: number): RevokedJob[] {
    sql.exec("DELETE FROM revoked WHERE expires_at <= ?", now());
    const due = sql
      .exec<RevokedJob>(
        "SELECT job_id, region FROM revoked WHERE due_at <= ? ORDER BY due_at LIMIT ?",
        now(),
        limit,
      )
      .toArray();
    for (const { job_id, region } of due) {
      sql.exec(
        "UPDATE revoked SET due_at = ? WHERE job_id = ? AND region = ?",
        now() + RETRY_MS,
        job_id,
        region,
      );
    }
    return due;
  }

  /** Unix ms; undefined while nobody is to be told. */
  function nextDue(): number | undefined {
    const [row] = sql
      .exec<{ at: number | null }>("SELECT min(due_at) AS at FROM revoked")
      .toArray();
    return row?.at ?? undefined;
  }

  /** Whose return is waited for. */
  const regions = (): string[] =>
    sql
      .exec<{ region: string }>("SELECT DISTINCT region FROM revoked")
      .toArray()
      .map(({ region }) => region);

  return { moved, drop, hurry, takeDue, nextDue, regions };
}
