import {
  coversJob,
  inputOf,
  type DeletedJob,
  type DeletionScope,
} from "../../shared/contracts/deletions.ts";
import { readId } from "../../shared/contracts/ids.ts";
import type { CompletionOffer } from "../../shared/contracts/completion.ts";
import type { Residency } from "../../shared/contracts/regions.ts";
import type { JobDraft } from "./ledger-job.ts";

/** Whose jobs or deletions; they lie where the tenant's residency says. */
export interface DeletionOwner {
  tenantId: string;
  residency: Residency;
}

/** What a shard is told to forget; `before` in Unix ms. */
export type Forget = { deletionId: string; scope: DeletionScope; before: number };
export type Forgotten = { jobs: DeletedJob[]; removed: number };

/** Longer than any region, message or idempotency key can be late. */
const KEPT_MS = 90 * 24 * 3_600_000;
/** As a removed reservation: only its dispatch number stays, for a day. */
const ROW_KEPT_MS = 25 * 3_600_000;

/**
 * The part of a shard that deletes jobs for good. A deleted job's row becomes that of a removed reservation, so that no run of it is
 * ever accepted and no dispatch of it made; what is kept beside it is which jobs they were, and where their recordings lie, for the
 * regions to remove.
 */
export function createForgotten(sql: SqlStorage, now: () => number) {
  sql.exec(`
    CREATE TABLE IF NOT EXISTS forgotten (
      job_id TEXT PRIMARY KEY, deletion_id TEXT NOT NULL, job TEXT NOT NULL, at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS forgotten_scopes (
      deletion_id TEXT PRIMARY KEY, scope TEXT NOT NULL, before INTEGER NOT NULL, at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS forgotten_scopes_by_before ON forgotten_scopes (before);
  `);

  const describe = (jobId: string, draft: string, offer: string | null): DeletedJob => {
    const sha256 =
      offer === null ? undefined : (JSON.parse(offer) as CompletionOffer).audio?.sha256;
    return {
      id: jobId,
      ...inputOf(JSON.parse(draft) as Partial<JobDraft>),
      ...(sha256 === undefined ? {} : { sha256 }),
    };
  };

  /** Idempotent: the same order again tells the same jobs. Of `all` none are told: regions find them by the tenant. */
  function forget({ deletionId, scope, before }: Forget): Forgotten {
    sql.exec(
      "INSERT OR IGNORE INTO forgotten_scopes VALUES (?, ?, ?, ?)",
      deletionId,
      JSON.stringify(scope),
      before,
      now(),
    );
    const [where, of] =
      "job_id" in scope
        ? ["job_id = ?", scope.job_id]
        : "user_id" in scope
          ? ["substr(job_id, 9, 13) <= ? AND json_extract(draft, '$.user_id') = ?", scope.user_id]
          : ["substr(job_id, 9, 13) <= ?", undefined];
    const values = [
      ...("job_id" in scope ? [] : [timeInId(before)]),
      ...(of === undefined ? [] : [of]),
    ];
    const rows = sql
      .exec<{ job_id: string; draft: string; offer: string | null }>(
        `SELECT job_id, draft, offer FROM jobs WHERE state <> 'refused' AND ${where}`,
        ...values,
      )
      .toArray();
    for (const { job_id, draft, offer } of rows) {
      if (!("all" in scope)) {
        sql.exec(
          "INSERT OR IGNORE INTO forgotten VALUES (?, ?, ?, ?)",
          job_id,
          deletionId,
          JSON.stringify(describe(job_id, draft, offer)),
          now(),
        );
      }
      sql.exec(
        `UPDATE jobs SET state = 'refused', draft = '{}', offer = NULL, waiting_for = NULL, home = NULL, due_at = ?
         WHERE job_id = ?`,
        now() + ROW_KEPT_MS,
        job_id,
      );
    }
    for (const table of ["forgotten", "forgotten_scopes"]) {
      sql.exec(`DELETE FROM ${table} WHERE at < ?`, now() - KEPT_MS);
    }
    const told = sql
      .exec<{ job: string }>("SELECT job FROM forgotten WHERE deletion_id = ?", deletionId)
      .toArray();
    return { jobs: told.map(({ job }) => JSON.parse(job) as DeletedJob), removed: rows.length };
  }

  /** Whether a job was deleted, perhaps before it was reserved. */
  function isForgotten(draft: Pick<JobDraft, "id" | "user_id">): boolean {
    if (sql.exec("SELECT 1 FROM forgotten WHERE job_id = ?", draft.id).toArray().length > 0)
      return true;
    const createdAtMs = readId(draft.id)?.createdAtMs ?? 0;
    return sql
      .exec<{ scope: string; before: number }>(
        "SELECT scope, before FROM forgotten_scopes WHERE before >= ?",
        createdAtMs,
      )
      .toArray()
      .some(({ scope, before }) =>
        coversJob(
          {
            scope: JSON.parse(scope) as DeletionScope,
            requested_at: new Date(before).toISOString(),
          },
          { id: draft.id, createdAtMs, userId: draft.user_id },
        ),
      );
  }

  return { forget, isForgotten };
}

/** The first 13 characters of a UUIDv7 of that time: they sort as times do. */
export function timeInId(ms: number): string {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}`;
}
