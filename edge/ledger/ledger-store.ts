import type { CompletionOffer, CompletionVerdict } from "../../shared/contracts/completion.ts";
import { compareEpochs } from "../../shared/contracts/epoch.ts";
import type { SettledJob } from "../../shared/contracts/internal-api.ts";
import { readId } from "../../shared/contracts/ids.ts";
import type { JobDraft, LedgerJob } from "./ledger-job.ts";

/** A reservation that nobody resolved is looked at again after this long: longer than any request lives. */
export const RESUBMIT_AFTER_MS = 30_000;
const RESUBMIT_MAX_MS = 5 * 60_000;
/** Of an accepted job that has not ended its region is asked after this long, and then ever more rarely. */
const CHECK_AFTER_MS = 15 * 60_000;
const CHECK_DOUBLINGS = 3;
/** An unresolved reservation is given up: its client never got a 202, so nothing promised is lost. */
const GIVE_UP_AFTER_MS = 24 * 3_600_000;
/** A region that was away when one of its jobs was canceled hears of it this soon, and then as often as a reservation. */
const TELL_AFTER_MS = 5_000;
/** About a day. */
const MOST_TELLS = 300;
/** Of a cancel that the ledger itself recorded; runs count from 1. */
const RECORDED_ATTEMPT = 0;
/** In `tries`: the region knows. */
const TOLD = -1;
/** A removed reservation's dispatch number is remembered for longer than any idempotency key lives. */
const REFUSED_KEPT_MS = 25 * 3_600_000;
/** Final states are kept here for 30 days; after that Postgres alone tells of the job. */
const FINAL_KEPT_MS = 30 * 24 * 3_600_000;
/** As long as any store may have something of a job. */
const USER_KEPT_MS = 25 * 31 * 24 * 3_600_000;

type Row = {
  job_id: string;
  draft: string;
  state: "reserved" | "accepted" | "final" | "refused";
  region: string;
  dispatch: number;
  offer: string | null;
  created_at: number;
  tries: number;
  waiting_for: "region" | "audio" | null;
  home: string | null;
  reduced: number;
};

export type LedgerStore = ReturnType<typeof createLedgerStore>;

/**
 * One shard's table of jobs. Every function is one synchronous step, so each is atomic: nothing of
 * another request runs between its reads and its writes.
 *
 * States: reserved → accepted → final, and reserved → final when the region was faster than its own
 * acceptance. `refused` is a removed reservation of which only the dispatch number is kept: were it to
 * start again from 1, a region that had taken the old dispatch 1 would take the new one for a repetition.
 */
export function createLedgerStore(sql: SqlStorage, now: () => number) {
  sql.exec(`
    CREATE TABLE IF NOT EXISTS jobs (
      job_id TEXT PRIMARY KEY,
      draft TEXT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('reserved', 'accepted', 'final', 'refused')),
      region TEXT NOT NULL,
      dispatch INTEGER NOT NULL CHECK (dispatch >= 1),
      offer TEXT,
      created_at INTEGER NOT NULL,
      due_at INTEGER,
      tries INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL;
    CREATE INDEX IF NOT EXISTS jobs_open ON jobs (region) WHERE state IN ('reserved', 'accepted');
  `);
  const columns = sql
    .exec<{ name: string }>("SELECT name FROM pragma_table_info('jobs')")
    .toArray();
  if (!columns.some(({ name }) => name === "waiting_for")) {
    // What an accepted job waits for that no region takes, and the region where its upload lies.
    sql.exec("ALTER TABLE jobs ADD COLUMN waiting_for TEXT");
    sql.exec("ALTER TABLE jobs ADD COLUMN home TEXT");
  }
  if (!columns.some(({ name }) => name === "reduced")) {
    sql.exec("ALTER TABLE jobs ADD COLUMN reduced INTEGER NOT NULL DEFAULT 0");
  }
  sql.exec("CREATE INDEX IF NOT EXISTS jobs_waiting ON jobs (home) WHERE waiting_for IS NOT NULL");

  const rowOf = (jobId: string): Row | undefined =>
    sql.exec<Row>("SELECT * FROM jobs WHERE job_id = ?", jobId).toArray()[0];

  const toJob = (row: Row): LedgerJob | null =>
    row.state === "refused" || row.reduced === 1
      ? null
      : {
          draft: JSON.parse(row.draft) as JobDraft,
          state: row.state,
          region: row.region,
          dispatch: row.dispatch,
          offer: row.offer === null ? null : (JSON.parse(row.offer) as CompletionOffer),
          ...(row.waiting_for === null ? {} : { waiting_for: row.waiting_for }),
        };

  /** The job, or null when there is none (or its reservation was removed, or the database alone describes it). */
  function find(jobId: string): LedgerJob | null {
    const row = rowOf(jobId);
    return row ? toJob(row) : null;
  }

  /** Takes a job in under a new dispatch; a job that is already here stays as it is. Null for one that ended long ago. */
  function reserve(draft: JobDraft, region: string): LedgerJob | null {
    sql.exec(
      `INSERT INTO jobs (job_id, draft, state, region, dispatch, created_at, due_at)
       VALUES (?1, ?2, 'reserved', ?3, 1, ?4, ?5)
       ON CONFLICT (job_id) DO UPDATE SET draft = ?2, state = 'reserved', region = ?3,
         dispatch = dispatch + 1, created_at = ?4, due_at = ?5, tries = 0, reduced = 0
       WHERE state = 'refused'`,
      draft.id,
      JSON.stringify(draft),
      region,
      now(),
      now() + RESUBMIT_AFTER_MS,
    );
    return find(draft.id);
  }

  /** The region has the job on disk. Without effect on any other dispatch, and once final. */
  function accept(jobId: string, dispatch: number): LedgerJob | null {
    sql.exec(
      `UPDATE jobs SET state = 'accepted', waiting_for = NULL, home = NULL,
         due_at = ?3 + (CASE state WHEN 'reserved' THEN ?4 ELSE ?4 << min(tries, ?5) END),
         tries = CASE state WHEN 'reserved' THEN 0 ELSE tries END
       WHERE job_id = ?1 AND state IN ('reserved', 'accepted') AND dispatch = ?2`,
      jobId,
      dispatch,
      now(),
      CHECK_AFTER_MS,
      CHECK_DOUBLINGS,
    );
    return find(jobId);
  }

  /**
   * Assigns an open job, accepted ones too, to another region; null when it is no longer open under this dispatch. The old dispatch can
   * no longer end it.
   */
  function reassign(jobId: string, dispatch: number, region: string): LedgerJob | null {
    const changed = sql.exec(
      `UPDATE jobs SET dispatch = dispatch + 1, region = ?, due_at = ?
       WHERE job_id = ? AND dispatch = ? AND state IN ('reserved', 'accepted')`,
      region,
      now() + RESUBMIT_AFTER_MS,
      jobId,
      dispatch,
    );
    return changed.rowsWritten > 0 ? find(jobId) : null;
  }

  /** An accepted job that no region takes now. */
  function waits(jobId: string, waitingFor: "region" | "audio"): void {
    const row = rowOf(jobId);
    if (row?.state !== "accepted") return;
    const { upload_id } = JSON.parse(row.draft) as JobDraft;
    sql.exec(
      "UPDATE jobs SET waiting_for = ?, home = ? WHERE job_id = ?",
      waitingFor,
      readId(upload_id)?.region.id ?? row.region,
      jobId,
    );
  }

  /** Has the accepted jobs of a region looked at as soon as may be; and those that wait for any. */
  function hurry(region: string): void {
    sql.exec(
      `UPDATE jobs SET due_at = ?1, tries = 0
       WHERE region = ?2 AND state IN ('reserved', 'accepted') AND state = 'accepted'`,
      now(),
      region,
    );
    sql.exec(
      `UPDATE jobs SET due_at = ?1, tries = 0
       WHERE waiting_for IS NOT NULL AND state = 'accepted'`,
      now(),
    );
  }

  /** Whichever job, open or final; undefined when there is none. */
  function anyJob(): JobDraft | undefined {
    const [row] = sql
      .exec<{ draft: string }>(
        "SELECT draft FROM jobs WHERE state <> 'refused' AND reduced = 0 LIMIT 1",
      )
      .toArray();
    return row && (JSON.parse(row.draft) as JobDraft);
  }

  /** Regions whose loss or return matters to an open job. */
  function openRegions(): Set<string> {
    const rows = sql.exec<{ region: string }>(
      `SELECT DISTINCT region FROM jobs WHERE state IN ('reserved', 'accepted')
       UNION SELECT DISTINCT home FROM jobs WHERE waiting_for IS NOT NULL AND state = 'accepted'`,
    );
    return new Set(rows.toArray().map(({ region }) => region));
  }

  /** Removes a reservation; false when it is not (or no longer) a reservation of that dispatch. */
  function refuse(jobId: string, dispatch: number): boolean {
    const changed = sql.exec(
      `UPDATE jobs SET state = 'refused', draft = '{}', due_at = ?
       WHERE job_id = ? AND state = 'reserved' AND dispatch = ?`,
      now() + REFUSED_KEPT_MS,
      jobId,
      dispatch,
    );
    return changed.rowsWritten > 0;
  }

  /** Assigns a reservation to another region; the old dispatch can no longer end the job. */
  function redispatch(jobId: string, region: string): LedgerJob | null {
    sql.exec(
      `UPDATE jobs SET dispatch = dispatch + 1, region = ?, due_at = ?, tries = 0
       WHERE job_id = ? AND state = 'reserved'`,
      region,
      now() + RESUBMIT_AFTER_MS,
      jobId,
    );
    return find(jobId);
  }

  /**
   * The compare-and-set that makes the first accepted run final. What was canceled here takes its own region's word of that instead,
   * by which the job gets into the database.
   */
  function complete(offer: CompletionOffer): CompletionVerdict["verdict"] {
    const row = rowOf(offer.job_id);
    if (!row || row.state === "refused") return "unknown";
    const ofThisRun = offer.epoch.dispatch === row.dispatch && offer.region === row.region;
    if (row.state === "final") {
      const final = JSON.parse(row.offer!) as CompletionOffer;
      if (final.epoch.attempt === RECORDED_ATTEMPT && ofThisRun) {
        if (offer.status !== "canceled") return "canceled";
        setFinal(offer, now() + FINAL_KEPT_MS);
        return "accepted";
      }
      const same =
        final.region === offer.region &&
        final.epoch.dispatch === offer.epoch.dispatch &&
        final.epoch.attempt === offer.epoch.attempt &&
        final.status === offer.status;
      return same ? "accepted" : "superseded";
    }
    if (!ofThisRun) return "superseded";
    setFinal(offer, now() + FINAL_KEPT_MS);
    return "accepted";
  }

  /**
   * Keeps of a final job, whose rows are in the database, only what fences later runs and late offers of it, and what its deletion has to
   * name: how it ended, its upload and end user. Only of those whose rows tell as much as was here.
   */
  function reduce({ job_id, epoch }: SettledJob): boolean {
    const row = rowOf(job_id);
    if (row?.state !== "final" || row.offer === null || row.reduced === 1) return false;
    const draft = JSON.parse(row.draft) as JobDraft;
    const final = JSON.parse(row.offer) as CompletionOffer;
    const isSame = compareEpochs(final.epoch, epoch) === 0;
    const rowsTellAll = draft.residency === "global" && draft.kind === "analysis" && !draft.batch;
    if (!isSame || !rowsTellAll || final.status !== "succeeded") return false;
    const { upload_id, user_id } = draft;
    sql.exec(
      "UPDATE jobs SET reduced = 1, draft = ?, offer = ? WHERE job_id = ?",
      JSON.stringify({ residency: draft.residency, upload_id, ...(user_id ? { user_id } : {}) }),
      JSON.stringify({ region: final.region, epoch: final.epoch, status: final.status }),
      job_id,
    );
    return true;
  }

  /** Whether there is a job that was not deleted, described here or not. */
  function knows(jobId: string): boolean {
    const row = rowOf(jobId);
    return row !== undefined && row.state !== "refused";
  }

  function setFinal(offer: CompletionOffer, dueAtMs: number): void {
    sql.exec(
      `UPDATE jobs SET state = 'final', offer = ?, due_at = ?, tries = 0, waiting_for = NULL, home = NULL
       WHERE job_id = ?`,
      JSON.stringify(offer),
      dueAtMs,
      offer.job_id,
    );
  }

  /** Ends a job as canceled without its region, which is told as soon as it can be. False when there is none that has not ended. */
  function cancel(jobId: string): boolean {
    const row = rowOf(jobId);
    if (!row || row.state === "refused" || row.state === "final") return false;
    const at = new Date(now()).toISOString();
    setFinal(
      {
        job_id: jobId,
        tenant_id: (JSON.parse(row.draft) as JobDraft).tenant_id,
        region: row.region,
        epoch: { dispatch: row.dispatch, attempt: RECORDED_ATTEMPT },
        status: "canceled",
        started_at: at,
        finished_at: at,
        cost: { usd: 0, stages: [] },
      },
      now() + TELL_AFTER_MS,
    );
    return true;
  }

  /** The region knows of the cancel, so it need not be told again. */
  function told(jobId: string): void {
    sql.exec(
      "UPDATE jobs SET due_at = ?, tries = ? WHERE job_id = ? AND state = 'final'",
      now() + FINAL_KEPT_MS,
      TOLD,
      jobId,
    );
  }

  /**
   * Up to `limit` open jobs that are due to be looked at again, and canceled jobs whose region has to be told, each already
   * put off for the case that this try fails too. What has outlived its time is cleared away on the same occasion.
   */
  function takeDue(limit: number): LedgerJob[] {
    const rows = sql
      .exec<Row>("SELECT * FROM jobs WHERE due_at <= ? ORDER BY due_at LIMIT ?", now(), limit)
      .toArray();
    const due: LedgerJob[] = [];
    for (const row of rows) {
      if (isUntold(row)) {
        if (row.tries >= MOST_TELLS) told(row.job_id);
        else {
          putOff(row);
          due.push(toJob(row)!);
        }
      } else if (row.state === "final" && onlyHereTellsWhose(row, now())) {
        const end = row.created_at + USER_KEPT_MS;
        sql.exec("UPDATE jobs SET due_at = ? WHERE job_id = ?", end, row.job_id);
      } else if (row.state === "final" || row.state === "refused") {
        sql.exec("DELETE FROM jobs WHERE job_id = ?", row.job_id);
      } else if (row.state === "reserved" && row.created_at + GIVE_UP_AFTER_MS <= now()) {
        refuse(row.job_id, row.dispatch);
      } else {
        putOff(row);
        due.push(toJob(row)!);
      }
    }
    return due;
  }

  function putOff({ job_id, tries }: Row): void {
    const pause = Math.min(RESUBMIT_AFTER_MS * 2 ** Math.min(tries, 10), RESUBMIT_MAX_MS);
    sql.exec(
      "UPDATE jobs SET due_at = ?, tries = tries + 1 WHERE job_id = ?",
      now() + pause,
      job_id,
    );
  }

  /** Unix ms of the next thing to do; undefined when there is none. */
  function nextDue(): number | undefined {
    const [row] = sql
      .exec<{ due_at: number | null }>("SELECT min(due_at) AS due_at FROM jobs")
      .toArray();
    return row?.due_at ?? undefined;
  }

  return {
    find,
    reserve,
    accept,
    refuse,
    redispatch,
    reassign,
    waits,
    hurry,
    anyJob,
    openRegions,
    knows,
    reduce,
    complete,
    cancel,
    told,
    takeDue,
    nextDue,
  };
}

/** Whether no database may know whose job it was: a bound tenant's end user, who may yet ask for its deletion. */
function onlyHereTellsWhose({ draft, created_at }: Row, nowMs: number): boolean {
  if (created_at + USER_KEPT_MS <= nowMs) return false;
  const { residency, user_id } = JSON.parse(draft) as Partial<JobDraft>;
  return residency !== "global" && user_id !== undefined;
}

/** Whether a job was canceled here, and its region has not heard of it yet. */
function isUntold({ state, offer, tries }: Row): boolean {
  if (state !== "final" || offer === null || tries === TOLD) return false;
  return (JSON.parse(offer) as CompletionOffer).epoch.attempt === RECORDED_ATTEMPT;
}
