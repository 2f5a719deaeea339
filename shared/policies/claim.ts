import type { WorkerLoad } from "../contracts/load-report.ts";
import { hasRoom, isFresh, slotsFreeInS } from "./worker-room.ts";

/** A job that no worker has claimed, as the policy needs to know it. */
export interface WaitingJob {
  id: string;
  /** Unix milliseconds of the region's clock. */
  queuedAtMs: number;
  /** Estimated compute-seconds. */
  computeSeconds: number;
  /** How much more its waiting counts than another's: 2 halves its patience. */
  weight?: number;
}

export interface ClaimOptions {
  /**
   * A job is due after so many times its estimated compute-seconds; what is due first goes first. The larger, the nearer to
   * shortest-first; 0 is first come, first served.
   */
  patience?: number;
  /** What a second of waiting for a faster worker counts as, in seconds of running; Infinity: leave jobs only to idle ones. */
  waitCost?: number;
  /** No job is left for a faster worker once it has waited so long. */
  leaveForMs?: number;
}

export interface ClaimInput {
  nowMs: number;
  /** Who asks. */
  worker: WorkerLoad;
  /** The region's other workers by their last reports; those too old count as gone. */
  others: readonly WorkerLoad[];
  /** What waits, or the head of it in the order of the queue's own fairness; in any order. */
  waiting: readonly WaitingJob[];
}

/** What to do: take a job, or nothing before `askAgainInMs` unless something comes or ends; null: until something does. */
export type ClaimChoice =
  | { take: WaitingJob }
  | { take: null; why: "no_room" | "nothing_waits" | "faster_soon"; askAgainInMs: number | null };

export const DEFAULT_PATIENCE = 10;
const DEFAULT_WAIT_COST = 6;
const DEFAULT_LEAVE_FOR_MS = 30_000;
/** Whoever left a job to an idle worker looks again so soon. */
const LOOK_AGAIN_MS = 50;

/** When a job should be begun at the latest, as far as order goes. It never changes while the job waits, so a queue may sort by it. */
export function dueAtMs(job: WaitingJob, patience = DEFAULT_PATIENCE): number {
  return job.queuedAtMs + (patience * job.computeSeconds * 1000) / (job.weight ?? 1);
}

/** Earlier due first; among equals the one that came first, then by id, so that every worker has the same order. */
export function compareDue(patience: number): (a: WaitingJob, b: WaitingJob) => number {
  return (a, b) =>
    dueAtMs(a, patience) - dueAtMs(b, patience) ||
    a.queuedAtMs - b.queuedAtMs ||
    (a.id < b.id ? -1 : Number(a.id > b.id));
}

/**
 * Which of the waiting jobs a worker with room should take, if any.
 *
 * Order: by time due, `queued + patience x estimate / weight`. It is shortest job first with an age that bounds it: a job is
 * overtaken only by those that come within `patience` times its own length.
 *
 * Place: a slow worker should leave a job that a faster one would end sooner, but not as soon as that is so: on a busy pool whoever
 * waits for a fast worker also makes all wait that come after (what is best for one job overloads the fast workers, as with
 * selfish routing). So a second of waiting counts as `waitCost` seconds of running. Jobs are dealt out in order, each to the faster
 * slot that pays, whose next one then waits for it too; the asker takes the first for which none pays. The value 6 is flat: from 4
 * to 16 the mean hardly changes, at loads of 0.5 to 0.95 (`npm run bench -- routing`).
 *
 * With its state of knowledge given (reports, estimates) the choice is a pure function: equal inputs, equal choices.
 */
export function chooseJob(input: ClaimInput, options: ClaimOptions = {}): ClaimChoice {
  const { nowMs, worker, others, waiting } = input;
  const { patience = DEFAULT_PATIENCE, leaveForMs = DEFAULT_LEAVE_FOR_MS } = options;
  const { waitCost = DEFAULT_WAIT_COST } = options;
  if (!hasRoom(worker)) return { take: null, why: "no_room", askAgainInMs: null };
  if (waiting.length === 0) return { take: null, why: "nothing_waits", askAgainInMs: null };
  const faster = fasterSlots(worker, others, nowMs);
  let askAgainInMs = Infinity;
  for (const job of waiting.toSorted(compareDue(patience))) {
    const leaveUntilMs = job.queuedAtMs + leaveForMs;
    if (nowMs >= leaveUntilMs) return { take: job };
    let cost = job.computeSeconds / worker.speed;
    let best: Slot | undefined;
    for (const slot of faster) {
      const waits = slot.freeInS > 0 ? waitCost * slot.freeInS : 0;
      const there = waits + job.computeSeconds / slot.speed;
      if (there < cost) {
        cost = there;
        best = slot;
      }
    }
    if (!best) return { take: job };
    const free = Math.max(LOOK_AGAIN_MS, best.freeInS * 1000);
    askAgainInMs = Math.min(askAgainInMs, free, leaveUntilMs - nowMs);
    best.freeInS += job.computeSeconds / best.speed;
  }
  return { take: null, why: "faster_soon", askAgainInMs };
}

interface Slot {
  speed: number;
  freeInS: number;
}

function fasterSlots(worker: WorkerLoad, others: readonly WorkerLoad[], nowMs: number): Slot[] {
  return others
    .filter(
      (other) =>
        other.speed > worker.speed &&
        other.worker_id !== worker.worker_id &&
        !other.draining &&
        isFresh(other, nowMs),
    )
    .flatMap((other) =>
      slotsFreeInS(other, nowMs).map((freeInS) => ({ speed: other.speed, freeInS })),
    );
}
