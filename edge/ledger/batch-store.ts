import type { CompletionOffer } from "../../shared/contracts/completion.ts";
import type { FinalStatus } from "../../shared/contracts/job.ts";
import type { JobDraft, LedgerJob } from "./ledger-job.ts";

/** What is known of a batch itself; kept in the shard that its id names. */
export type BatchHeader = {
  id: string;
  items: number;
  deadline_at: string | null;
};

/** Where a job stands, without what it is. */
export type JobSlot = Pick<LedgerJob, "state" | "region" | "dispatch"> & { id: string };

/** Items of one shard by how they stand; `last_finished_at` of the one that ended last. */
export type BatchCounts = {
  open: number;
  succeeded: number;
  failed: number;
  canceled: number;
  last_finished_at: string | null;
};

/** An item as its shard knows it. */
export type BatchItemState = {
  item: number;
  job_id: string;
  status: "open" | FinalStatus | "deleted";
  user_id: string | null;
  /** How it ended. */
  offer: Pick<CompletionOffer, "error" | "audio" | "region" | "finished_at" | "cost"> | null;
};

/** As long as a final job is kept. */
const KEPT_MS = 30 * 24 * 3_600_000;

export const slotOf = ({ draft, state, region, dispatch }: LedgerJob): JobSlot => ({
  id: draft.id,
  state,
  region,
  dispatch,
});

/**
 * The part of a shard that knows which of its jobs belong to which batch. A batch has no list of its own: its items are the rows of its
 * jobs, so that the two cannot disagree.
 */
export function createBatchStore(sql: SqlStorage, now: () => number) {
  sql.exec(`
    CREATE TABLE IF NOT EXISTS batches (
      batch_id TEXT PRIMARY KEY, items INTEGER NOT NULL, deadline_at TEXT, expires_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS batch_items (
      batch_id TEXT NOT NULL, item INTEGER NOT NULL, job_id TEXT NOT NULL, expires_at INTEGER NOT NULL,
      PRIMARY KEY (batch_id, item)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS batch_items_expiry ON batch_items (expires_at);
  `);

  /** A batch that is here already stays as it is. */
  function open({ id, items, deadline_at }: BatchHeader): void {
    sql.exec(
      "INSERT OR IGNORE INTO batches VALUES (?, ?, ?, ?)",
      id,
      items,
      deadline_at,
      now() + KEPT_MS,
    );
  }

  /** Nothing of it was accepted. */
  function drop(id: string): void {
    sql.exec("DELETE FROM batches WHERE batch_id = ?", id);
  }

  function find(id: string): BatchHeader | null {
    const [row] = sql
      .exec<BatchHeader>(
        "SELECT batch_id AS id, items, deadline_at FROM batches WHERE batch_id = ? AND expires_at > ?",
        id,
        now(),
      )
      .toArray();
    return row ?? null;
  }

  function add({ id, batch }: JobDraft): void {
    if (!batch) return;
    sql.exec(
      "INSERT OR IGNORE INTO batch_items VALUES (?, ?, ?, ?)",
      batch.id,
      batch.item,
      id,
      now() + KEPT_MS,
    );
  }

  function counts(id: string): BatchCounts {
    const [row] = sql
      .exec<BatchCounts>(
        `SELECT
           count(*) FILTER (WHERE state IN ('reserved', 'accepted')) AS open,
           count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE status = 'canceled') AS canceled,
           max(finished_at) AS last_finished_at
         FROM (SELECT state, offer ->> '$.status' AS status, offer ->> '$.finished_at' AS finished_at
           FROM batch_items JOIN jobs USING (job_id) WHERE batch_id = ?)`,
        id,
      )
      .toArray();
    return row!;
  }

  /** The items from `from` on, up to and without `to`. */
  function items(id: string, from: number, to: number): BatchItemState[] {
    return sql
      .exec<{
        item: number;
        job_id: string;
        state: string | null;
        offer: string | null;
        user_id: string | null;
      }>(
        `SELECT item, batch_items.job_id, state, offer, draft ->> '$.user_id' AS user_id FROM batch_items LEFT JOIN jobs USING (job_id)
         WHERE batch_id = ? AND item >= ? AND item < ?`,
        id,
        from,
        to,
      )
      .toArray()
      .map(({ item, job_id, state, offer, user_id }) => {
        if (state === null || state === "refused") {
          return { item, job_id, status: "deleted", user_id, offer: null };
        }
        if (state !== "final" || offer === null)
          return { item, job_id, status: "open", user_id, offer: null };
        const end = JSON.parse(offer) as CompletionOffer;
        const { error, audio, region, finished_at, cost } = end;
        return {
          item,
          job_id,
          status: end.status,
          user_id,
          offer: {
            region,
            finished_at,
            cost,
            ...(error ? { error } : {}),
            ...(audio ? { audio } : {}),
          },
        };
      });
  }

  /** Forgets batches whose time is over. */
  function sweep(): void {
    sql.exec("DELETE FROM batches WHERE expires_at <= ?", now());
    sql.exec("DELETE FROM batch_items WHERE expires_at <= ?", now());
  }

  return { open, drop, find, add, counts, items, sweep };
}
