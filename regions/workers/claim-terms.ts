import type { WorkerLoad } from "../../shared/contracts/load-report.ts";
import { claimLimit } from "../../shared/policies/claim.ts";
import type { Queue } from "../queue/queue-port.ts";

/** On what terms a worker asks for jobs just now. */
export interface ClaimTerms {
  /** Jobs of more compute-seconds are better left to a faster worker; absent: it may take any; 0: none is worth asking for. */
  maxEstimateS?: number;
  /** How long this holds, in milliseconds. */
  forMs: number;
}

export interface ClaimTermsOptions {
  workerId: string;
  queue: Pick<Queue, "load" | "workers">;
  /** What this worker says of itself. */
  self(): Omit<WorkerLoad, "reported_at_ms">;
}

/** How long a look at the region serves. */
const LOOK_EVERY_MS = 250;
/** Terms are made anew so often at least: a faster worker may come or go. */
const HOLD_FOR_MS = 1000;
/** A worker that has left all that waits to faster ones for so long takes what comes: they report, but do not work. */
const LEAVE_FOR_MS = 30_000;

/**
 * Weighs whether a job is better begun here or left to a faster worker, by the region's load reports (`claimLimit`). Among workers
 * of one speed, and for the fastest, there is no limit, and nothing but the reports is asked for.
 */
export function createClaimTerms({ workerId, queue, self }: ClaimTermsOptions) {
  let seen: { atMs: number; reports: ReturnType<Queue["workers"]> } | undefined;
  let leavingSinceMs: number | undefined;

  function reports(): ReturnType<Queue["workers"]> {
    if (!seen || performance.now() - seen.atMs >= LOOK_EVERY_MS) {
      seen = { atMs: performance.now(), reports: queue.workers() };
    }
    return seen.reports;
  }

  async function weigh(): Promise<ClaimTerms> {
    const { nowMs, workers } = await reports();
    const own = self();
    const others = workers.filter((other) => other.worker_id !== workerId);
    if (!others.some((other) => other.speed > own.speed)) return { forMs: HOLD_FOR_MS };
    const { waiting, computeS } = await queue.load();
    const limit = claimLimit({
      nowMs,
      worker: { ...own, reported_at_ms: nowMs },
      others,
      waiting: { jobs: waiting, computeSeconds: computeS },
    });
    if (limit.maxComputeSeconds === Infinity) return { forMs: HOLD_FOR_MS };
    const again = Math.max(LOOK_EVERY_MS, limit.askAgainInMs ?? HOLD_FOR_MS);
    const forMs = Math.min(HOLD_FOR_MS, again);
    if (waiting === 0) leavingSinceMs = undefined;
    else leavingSinceMs ??= performance.now();
    const leftForMs = performance.now() - (leavingSinceMs ?? performance.now());
    if (leftForMs >= LEAVE_FOR_MS) return { forMs };
    return { maxEstimateS: limit.maxComputeSeconds, forMs };
  }

  return {
    /** Rejects never: a worker that knows nothing of the others takes what comes. */
    async now(): Promise<ClaimTerms> {
      try {
        return await weigh();
      } catch {
        seen = undefined;
        return { forMs: HOLD_FOR_MS };
      }
    },
    /** Something was claimed. */
    claimed(): void {
      leavingSinceMs = undefined;
    },
  };
}
