import { setTimeout as sleep } from "node:timers/promises";
import { ApiError } from "../../shared/errors/problem.ts";
import { orUnavailable } from "./database-error.ts";
import type { Pool } from "./postgres-pool.ts";

export interface ReplayOptions {
  signal?: AbortSignal;
  /** How long to wait for a replica. */
  timeoutMs?: number;
}

/** Where the primary's log ends on disk now: everything committed before this call lies below it. */
export async function flushedLsn(primary: Pool): Promise<string> {
  const [row] = await primary<[{ lsn: string }]>`select pg_current_wal_flush_lsn()::text as lsn`;
  return row.lsn;
}

/**
 * Waits until at least one replica has replayed the log up to `lsn`, as the primary's pg_stat_replication says (the role
 * needs pg_monitor to see it).
 * @throws ApiError dependency_unavailable when none has within the timeout; what was written stays written
 */
export async function waitForReplay(
  primary: Pool,
  lsn: string,
  { signal, timeoutMs = 5000 }: ReplayOptions = {},
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  let pauseMs = 4;
  for (;;) {
    signal?.throwIfAborted();
    const [row] = await orUnavailable(
      () => primary<[{ replayed: boolean }]>`
        select exists (select from pg_stat_replication where replay_lsn >= ${lsn}::pg_lsn) as replayed`,
    );
    if (row.replayed) return;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) {
      throw new ApiError("dependency_unavailable", "No replica has confirmed the change in time.");
    }
    await sleep(Math.min(pauseMs, leftMs), undefined, signal ? { signal } : {});
    pauseMs = Math.min(pauseMs * 2, 100);
  }
}
