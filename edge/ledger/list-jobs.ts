import { timeInId } from "./forgotten.ts";

/** Of which jobs, the newest first: those before a place in the list, of one end user; `limit` at most. */
export type ListLedgerJobs = {
  before?: { createdAtMs: number; id: string } | undefined;
  userId?: string | undefined;
  limit: number;
};

/** Ids of a shard's jobs by when they were created, which their ids tell, and then by id. */
export function createListJobs(sql: SqlStorage) {
  sql.exec("CREATE INDEX IF NOT EXISTS jobs_by_time ON jobs (substr(job_id, 9))");

  return ({ before, userId, limit }: ListLedgerJobs): string[] => {
    // Digits and letters sort below "~", so this is the last id of its millisecond.
    const time = before ? timeInId(before.createdAtMs) : "~";
    return sql
      .exec<{ job_id: string }>(
        `SELECT job_id FROM jobs
         WHERE state <> 'refused' AND reduced = 0 AND substr(job_id, 9) <= ?1 || '~'
           AND (substr(job_id, 9, 13), job_id) < (?1, ?2)
           AND (?3 IS NULL OR json_extract(draft, '$.user_id') = ?3)
         ORDER BY substr(job_id, 9) DESC LIMIT ?4`,
        time,
        before?.id ?? "~",
        userId ?? null,
        limit,
      )
      .toArray()
      .map(({ job_id }) => job_id);
  };
}
