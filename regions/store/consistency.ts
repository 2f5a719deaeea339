import { AsyncLocalStorage } from "node:async_hooks";
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { lsnBytes } from "../../shared/contracts/lsn.ts";
import type { WalPosition } from "../../shared/contracts/primary.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import type { Pool } from "./postgres-pool.ts";

/** A point in the database's log. A promotion begins a new timeline, on which positions of the old one mean nothing. */
export interface LogPoint {
  timeline: number;
  /** Bytes. */
  position: bigint;
}

const tagOf = (body: string) =>
  createHash("sha256").update(`antiphon-consistency-v1\n${body}`).digest("base64url").slice(0, 12);

/** An opaque token for a point. Its checksum tells a damaged one; a forged one costs its sender some waiting. */
export function writeToken({ timeline, position }: LogPoint): string {
  const body = `${timeline.toString(36)}.${position.toString(16)}`;
  return `${body}.${tagOf(body)}`;
}

/** @throws ApiError invalid_request for what no region gave out */
export function readToken(token: string): LogPoint {
  const match = /^([0-9a-z]{1,7})\.([0-9a-f]{1,16})\.([\w-]{12})$/.exec(token);
  if (!match || tagOf(`${match[1]}.${match[2]}`) !== match[3]) {
    throw new ApiError("invalid_request", "The consistency token is not one of ours.", {
      errors: [
        { path: "X-Antiphon-Consistency", message: "use the header of an answer, unchanged" },
      ],
    });
  }
  return { timeline: Number.parseInt(match[1]!, 36), position: BigInt(`0x${match[2]}`) };
}

interface Scope {
  after: LogPoint | undefined;
  wrote: LogPoint | undefined;
}
const scopes = new AsyncLocalStorage<Scope>();

/**
 * Runs a request: its reads see at least what was written up to `after`, and what it writes itself is told by the point that this
 * settles to.
 */
export async function withConsistency(
  after: LogPoint | undefined,
  run: () => Promise<unknown>,
): Promise<LogPoint | undefined> {
  const scope: Scope = { after, wrote: undefined };
  await scopes.run(scope, run);
  return scope.wrote;
}

/** What the reads of the request that runs have to see; undefined when anything will do. */
export const readsAfter = (): LogPoint | undefined => scopes.getStore()?.after;

/** Notes that the request that runs has written, up to a place in the log. */
export function noteWrite({ timeline, lsn }: WalPosition): void {
  const scope = scopes.getStore();
  if (!scope) return;
  scope.wrote = { timeline, position: lsnBytes(lsn) };
  scope.after = scope.wrote;
}

/** For how long a replica is waited for before the primary is asked instead. */
const PATIENCE_MS = 500;

/**
 * Whether a server has replayed the log up to a point, or does within half a second. A server that is no replica (any more) has all
 * there is. On another timeline than the point's positions cannot be compared: then it says no, and the primary answers.
 */
export function createHasReplayed(server: Pool, patienceMs = PATIENCE_MS) {
  let known: LogPoint | undefined;
  const reached = (point: LogPoint) =>
    known !== undefined && known.timeline === point.timeline && known.position >= point.position;

  return async (point: LogPoint): Promise<boolean> => {
    const deadline = performance.now() + patienceMs;
    for (let pauseMs = 4; ; pauseMs = Math.min(pauseMs * 2, 50)) {
      if (reached(point)) return true;
      const [row] = await server<
        [{ is_replica: boolean; timeline: number | null; position: string | null }]
      >`
        select pg_is_in_recovery() as is_replica, (select received_tli from pg_stat_wal_receiver) as timeline,
          (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::text as position`;
      if (!row.is_replica) return true;
      if (row.timeline === null || row.position === null) return false;
      known = { timeline: row.timeline, position: BigInt(row.position) };
      if (known.timeline !== point.timeline) return false;
      if (reached(point)) return true;
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return false;
      await sleep(Math.min(pauseMs, leftMs));
    }
  };
}
