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
/** Whoever left a job to an idle worker looks again after so long. */
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

/** What a worker may claim from a queue that keeps its own order and is asked for the first job up to a size. */
export interface ClaimLimit {
  /** Jobs of more compute-seconds are better left to a faster worker; Infinity: it may take any. */
  maxComputeSeconds: number;
  /** When to ask again if nothing was small enough; null: when something comes or ends. */
  askAgainInMs: number | null;
}

/**
 * Up to which size a worker should take jobs.
 *
 * A slow worker should leave a job that a faster one would end sooner, but not as soon as that is so: on a busy pool, whoever waits
 * for a fast worker also makes all wait that come after (what is best for each job overloads the fast workers, as with selfish
 * routing). So a second of waiting counts as `waitCost` seconds of running. For each faster slot there is then a size from which
 * waiting for it pays, `waitCost x wait / (1/speed here - 1/speed there)`, and the least of these is the limit; it is 0 while a
 * faster slot is idle. What waits already is first dealt out to the faster slots that pay, as jobs of mean size: without that, all
 * slow workers would wait for the same fast one, and for long when reports are old. The value 6 is flat: from 4 to 16 the mean hardly
 * changes, at loads of 0.5 to 0.95 (`npm run bench -- routing`).
 *
 * The queue must see to it that no job is passed over for ever.
 * @param input.waiting how many jobs wait, and their compute-seconds
 */
export function claimLimit(
  input: Omit<ClaimInput, "waiting"> & { waiting: { jobs: number; computeSeconds: number } },
  options: Pick<ClaimOptions, "waitCost"> = {},
): ClaimLimit {
  const { nowMs, worker, others, waiting } = input;
  const { waitCost = DEFAULT_WAIT_COST } = options;
  if (!hasRoom(worker)) return { maxComputeSeconds: 0, askAgainInMs: null };
  const faster = fasterSlots(worker, others, nowMs);
  if (faster.length === 0) return { maxComputeSeconds: Infinity, askAgainInMs: null };
  const firstFreeMs = Math.min(...faster.map(({ freeInS }) => freeInS)) * 1000;
  const meanSize = waiting.computeSeconds / Math.max(1, waiting.jobs);
  // One of them is the job that is asked for.
  for (let dealt = 1; dealt < Math.min(MOST_DEALT, waiting.jobs); dealt += 1) {
    const best = bestSlot(faster, worker.speed, meanSize, waitCost);
    if (!best) break;
    best.freeInS += meanSize / best.speed;
  }
  const limits = faster.map(
    ({ speed, freeInS }) => priceOf(freeInS, waitCost) / (1 / worker.speed - 1 / speed),
  );
  return {
    maxComputeSeconds: Math.min(...limits),
    askAgainInMs: Math.max(LOOK_AGAIN_MS, firstFreeMs),
  };
}

/**
 * Which of the waiting jobs a worker with room should take, if any: the first by time due (`queued + patience x estimate / weight`)
 * that is within its limit. That is shortest job first, with an age that bounds it: a job is overtaken only by those that come
 * within `patience` times its own length, or within `leaveForMs`. With what is known given, a pure function: equal inputs, equal
 * choices.
 */
export function chooseJob(input: ClaimInput, options: ClaimOptions = {}): ClaimChoice {
  const { nowMs, worker } = input;
  const { patience = DEFAULT_PATIENCE, leaveForMs = DEFAULT_LEAVE_FOR_MS } = options;
  if (!hasRoom(worker)) return { take: null, why: "no_room", askAgainInMs: null };
  const inOrder = input.waiting.toSorted(compareDue(patience));
  if (inOrder.length === 0) return { take: null, why: "nothing_waits", askAgainInMs: null };
  const computeSeconds = inOrder.reduce((sum, job) => sum + job.computeSeconds, 0);
  const waiting = { jobs: inOrder.length, computeSeconds };
  const limit = claimLimit({ ...input, waiting }, options);
  let askAgainInMs = limit.askAgainInMs ?? Infinity;
  for (const job of inOrder) {
    const leaveInMs = job.queuedAtMs + leaveForMs - nowMs;
    if (job.computeSeconds <= limit.maxComputeSeconds || leaveInMs <= 0) return { take: job };
    askAgainInMs = Math.min(askAgainInMs, leaveInMs);
  }
  return { take: null, why: "faster_soon", askAgainInMs };
}

/** So many jobs that wait tell all; more would only cost time. */
const MOST_DEALT = 64;

/** No wait costs nothing, also where waiting has no bound to its price. */
function priceOf(waitS: number, waitCost: number): number {
  return waitS > 0 ? waitCost * waitS : 0;
}

/** Where a job would cost less than here, with waiting priced; undefined when it is best begun here, now. */
function bestSlot(
  faster: readonly Slot[],
  speedHere: number,
  computeSeconds: number,
  waitCost: number,
): Slot | undefined {
  let cost = computeSeconds / speedHere;
  let best: Slot | undefined;
  for (const slot of faster) {
    const there = priceOf(slot.freeInS, waitCost) + computeSeconds / slot.speed;
    if (there < cost) {
      cost = there;
      best = slot;
    }
  }
  return best;
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
    )
    .sort((a, b) => b.speed - a.speed || a.freeInS - b.freeInS);
}
