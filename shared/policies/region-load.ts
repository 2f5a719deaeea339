import type { RegionLoad, WorkerLoad } from "../contracts/load-report.ts";
import { isFresh, slotsFreeInS } from "./worker-room.ts";

export interface RegionLoadInput {
  region: string;
  nowMs: number;
  /** Last reports of the region's workers; the newest of each counts, and those too old do not. */
  workers: readonly WorkerLoad[];
  /** What no worker has claimed. */
  waitingJobs: number;
  waitingComputeSeconds: number;
  ttlMs?: number;
}

/** One report for a whole region. */
export function aggregateLoad(input: RegionLoadInput): RegionLoad {
  const { region, nowMs, waitingJobs, waitingComputeSeconds, ttlMs = 3000 } = input;
  const newest = new Map<string, WorkerLoad>();
  for (const worker of input.workers) {
    const known = newest.get(worker.worker_id);
    if (!known || known.reported_at_ms < worker.reported_at_ms) {
      newest.set(worker.worker_id, worker);
    }
  }
  const fresh = [...newest.values()].filter((worker) => isFresh(worker, nowMs));
  const working = fresh.filter(({ draining }) => !draining);
  const sum = (of: (worker: WorkerLoad) => number, from = working) =>
    from.reduce((total, worker) => total + of(worker), 0);
  return {
    v: 1,
    region,
    workers: working.length,
    capacity: sum(({ capacity }) => capacity),
    active_jobs: sum(({ active_jobs }) => active_jobs, fresh),
    waiting_jobs: waitingJobs,
    queued_compute_seconds:
      waitingComputeSeconds + sum(({ queued_compute_seconds }) => queued_compute_seconds, fresh),
    speed: sum(({ capacity, speed }) => capacity * speed),
    expected_wait_s: expectedWaitS(working, waitingComputeSeconds, nowMs),
    reported_at_ms: nowMs,
    ttl_ms: ttlMs,
  };
}

/**
 * Seconds until a job that comes now would be begun if all that waits went first: the time by which the slots, each from when it is
 * free, have done the compute-seconds that wait. Null without workers.
 */
export function expectedWaitS(
  workers: readonly WorkerLoad[],
  waitingComputeSeconds: number,
  nowMs: number,
): number | null {
  const slots = workers
    .flatMap((worker) =>
      slotsFreeInS(worker, nowMs).map((freeInS) => ({ freeInS, speed: worker.speed })),
    )
    .sort((a, b) => a.freeInS - b.freeInS);
  let speed = 0;
  let left = waitingComputeSeconds;
  for (const [index, slot] of slots.entries()) {
    speed += slot.speed;
    const untilNext = (slots[index + 1]?.freeInS ?? Infinity) - slot.freeInS;
    if (left <= untilNext * speed) return slot.freeInS + left / speed;
    left -= untilNext * speed;
  }
  return null;
}
