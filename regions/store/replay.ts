import { setTimeout as sleep } from "node:timers/promises";
import type { WalPosition } from "../../shared/contracts/primary.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { orUnavailable } from "./database-error.ts";
import type { Pool } from "./postgres-pool.ts";

export interface ReplayOptions {
  signal?: AbortSignal;
  /** How long to wait for a replica. */
  timeoutMs?: number;
}

/**
 * SQL: the timeline of the primary that runs it. Each promotion begins a new one, so it tells one primary from the next; the pool may go
 * from one to the other between two statements.
 */
export const TIMELINE = `('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int`;

/**
 * Where the primary's log ends on disk now: everything committed before this call on these timelines lies below it.
 * @throws ApiError dependency_unavailable when that was another primary: its log may have ended before the commit was on a replica
 */
export async function flushedPosition(
  primary: Pool,
  writtenOn: Iterable<number>,
): Promise<WalPosition> {
  const [row] = await primary.unsafe<[WalPosition]>(
    `select ${TIMELINE} as timeline, pg_current_wal_flush_lsn()::text as lsn`,
  );
  for (const timeline of writtenOn) if (timeline !== row.timeline) throw moved();
  return { timeline: row.timeline, lsn: row.lsn };
}

const moved = () =>
  new ApiError(
    "dependency_unavailable",
    "The database's primary has moved since the change was made.",
  );

/**
 * Waits until at least one replica has replayed the log up to a place, as the primary's pg_stat_replication says (the role
 * needs pg_monitor to see it).
 * @throws ApiError dependency_unavailable when none has within the timeout: what was written stays written; and when the primary is
 * another by now: what was written may be lost
 */
export async function waitForReplay(
  primary: Pool,
  { timeline, lsn }: WalPosition,
  { signal, timeoutMs = 5000 }: ReplayOptions = {},
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  let pauseMs = 4;
  for (;;) {
    signal?.throwIfAborted();
    const [row] = await orUnavailable(
      () => primary<[{ replayed: boolean; timeline: number }]>`
        select exists (select from pg_stat_replication where replay_lsn >= ${lsn}::pg_lsn) as replayed,
          ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int as timeline`,
    );
    if (row.timeline !== timeline) throw moved();
    if (row.replayed) return;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) {
      throw new ApiError("dependency_unavailable", "No replica has confirmed the change in time.");
    }
    await sleep(Math.min(pauseMs, leftMs), undefined, signal ? { signal } : {});
    pauseMs = Math.min(pauseMs * 2, 100);
  }
}
