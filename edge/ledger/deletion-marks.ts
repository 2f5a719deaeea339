import type { DeletedJob, DeletionScope, JobIdentity } from "../../shared/contracts/deletions.ts";

/** How far a reader has read, and in which log: an object that lost its storage begins another. */
export type MarkCursor = { log: string; seq: number };

/** What was deleted, by name, and up to when (Unix ms) what bears the name is gone. */
export type Marks = [name: string, at: number][];

/** What came after a cursor, or, with `from: 0`, from the beginning: then the reader's cursor was none of this log's. */
export type MarkPage = MarkCursor & { from: number; marks: Marks; more: boolean };

export const EVERYTHING = "all";
export const jobMark = (id: string): string => `job:${id}`;
export const userMark = (id: string): string => `user:${id}`;
export const audioMark = (sha256: string): string => `audio:${sha256}`;

/** Names of which one tells that a job was deleted. */
export const marksOfJob = ({ id, userId }: JobIdentity): string[] => [
  jobMark(id),
  EVERYTHING,
  ...(userId ? [userMark(userId)] : []),
];

/** Whether a job was deleted, by the marks that bear one of its names. */
export function coversMarked(marks: ReadonlyMap<string, number>, job: JobIdentity): boolean {
  const [own, ...wide] = marksOfJob(job);
  return (
    marks.has(own!) ||
    wide.some((name) => job.createdAtMs <= (marks.get(name) ?? Number.NEGATIVE_INFINITY))
  );
}

const PAGE = 5_000;

/** What a deletion says, as far as its marks go. */
type Deleted = { id: string; scope: DeletionScope; requestedAtMs: number };

/**
 * The part of a tenant's deletions that its readers ask for: a log of names, which a reader goes on with where it was. A deletion's
 * names are added when it is made and when its jobs are known, and go when no reader needs them any more; nothing else changes.
 */
export function createDeletionMarks(sql: SqlStorage) {
  const isNew = sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'marks'").toArray().length === 0;
  sql.exec(`
    CREATE TABLE IF NOT EXISTS marks (
      seq INTEGER PRIMARY KEY AUTOINCREMENT, deletion_id TEXT NOT NULL, name TEXT NOT NULL, at INTEGER NOT NULL
    );
    CREATE INDEX IF NOT EXISTS marks_by_deletion ON marks (deletion_id);
    CREATE INDEX IF NOT EXISTS marks_by_name ON marks (name);
    CREATE TABLE IF NOT EXISTS mark_log (id TEXT PRIMARY KEY) WITHOUT ROWID;
  `);
  if (isNew) sql.exec("INSERT INTO mark_log VALUES (?)", crypto.randomUUID());

  function add({ id, requestedAtMs }: Deleted, names: readonly string[]): void {
    sql.exec(
      "INSERT INTO marks (deletion_id, name, at) SELECT ?, value, ? FROM json_each(?)",
      id,
      requestedAtMs,
      JSON.stringify(names),
    );
  }

  return {
    /** The table was made just now: what was deleted before has no marks yet. */
    isNew,

    /** A deletion was made. */
    made(deleted: Deleted): void {
      const { scope } = deleted;
      if ("all" in scope) add(deleted, [EVERYTHING]);
      else add(deleted, ["job_id" in scope ? jobMark(scope.job_id) : userMark(scope.user_id)]);
    },

    /** Its jobs are known: some of them, which it has not named yet. */
    found(deleted: Deleted, jobs: readonly DeletedJob[]): void {
      const { scope } = deleted;
      // Whatever goes with everything is covered by its time.
      if ("all" in scope) return;
      const names = jobs.flatMap(({ id, sha256 }) => [
        ...("job_id" in scope && scope.job_id === id ? [] : [jobMark(id)]),
        ...(sha256 === undefined ? [] : [audioMark(sha256)]),
      ]);
      add(deleted, [...new Set(names)]);
    },

    forget(deletionId: string): void {
      sql.exec("DELETE FROM marks WHERE deletion_id = ?", deletionId);
    },

    /** A page of what came after the cursor; without one, or with one of another log, of what there is. */
    since(cursor: MarkCursor | null): MarkPage {
      const { id } = sql.exec<{ id: string }>("SELECT id FROM mark_log").one();
      const [last] = sql
        .exec<{ seq: number }>("SELECT seq FROM sqlite_sequence WHERE name = 'marks'")
        .toArray();
      const isOurs = cursor !== null && cursor.log === id && cursor.seq <= (last?.seq ?? 0);
      const from = isOurs ? cursor.seq : 0;
      const rows = sql
        .exec<{ seq: number; name: string; at: number }>(
          "SELECT seq, name, at FROM marks WHERE seq > ? ORDER BY seq LIMIT ?",
          from,
          PAGE,
        )
        .toArray();
      return {
        log: id,
        from,
        seq: rows.at(-1)?.seq ?? from,
        marks: rows.map(({ name, at }) => [name, at]),
        more: rows.length === PAGE,
      };
    },

    /** The marks that bear one of these names. */
    named(names: readonly string[]): Marks {
      return sql
        .exec<{ name: string; at: number }>(
          `SELECT name, max(at) AS at FROM marks WHERE name IN (SELECT value FROM json_each(?)) GROUP BY name`,
          JSON.stringify(names),
        )
        .toArray()
        .map(({ name, at }) => [name, at]);
    },
  };
}
