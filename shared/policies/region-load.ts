import { priorities, type Priority } from "../contracts/job.ts";
import type { RegionLoad, WorkerLoad } from "../contracts/load-report.ts";
import { isFresh, slotsFreeInS } from "./worker-room.ts";

export interface RegionLoadInput {
  region: string;
  /** Unix milliseconds of the region's clock. */
  nowMs: number;
  /** Last reports of the region's workers; the newest of each counts, and those too old do not. */
  workers: readonly WorkerLoad[];
  /** What no worker has claimed, by class: jobs, and their estimated compute-seconds. */
  waiting: Readonly<Record<Priority, { jobs: number; computeS: number }>>;
  ttlMs?: number;
}

/** One report for a whole region. */
export function aggregateLoad(input: RegionLoadInput): RegionLoad {
  const { region, nowMs, waiting, ttlMs = 3000 } = input;
  const fresh = newestOfEach(input.workers).filter((worker) => isFresh(worker, nowMs));
  const working = fresh.filter(({ draining }) => !draining);
  const sum = (of: (worker: WorkerLoad) => number, from = working) =>
    from.reduce((total, worker) => total + of(worker), 0);
  return {
    v: 1,
    region,
    workers: working.length,
    capacity: sum(({ capacity }) => capacity),
    active_jobs: sum(({ active_jobs }) => active_jobs, fresh),
    active_compute_s: sum(({ queued_compute_seconds }) => queued_compute_seconds, fresh),
    queued_jobs: priorities.reduce((total, priority) => total + waiting[priority].jobs, 0),
    queued_compute_s: computeAhead(waiting, "batch"),
    speed: sum(({ capacity, speed }) => capacity * speed),
    expected_wait_s: {
      interactive: expectedWaitS(working, computeAhead(waiting, "interactive"), nowMs),
      standard: expectedWaitS(working, computeAhead(waiting, "standard"), nowMs),
      batch: expectedWaitS(working, computeAhead(waiting, "batch"), nowMs),
    },
    reported_at_ms: nowMs,
    ttl_ms: ttlMs,
  };
}

/**
 * Compute-seconds that go before a job of a class that comes now: those of its own class, and of the classes above. The small share
 * of the lower classes is left out.
 */
function computeAhead(waiting: RegionLoadInput["waiting"], of: Priority): number {
  return priorities
    .slice(0, priorities.indexOf(of) + 1)
    .reduce((total, priority) => total + waiting[priority].computeS, 0);
}

function newestOfEach(workers: readonly WorkerLoad[]): WorkerLoad[] {
  const newest = new Map<string, WorkerLoad>();
  for (const worker of workers) {
    const known = newest.get(worker.worker_id);
    if (!known || known.reported_at_ms < worker.reported_at_ms) {
      newest.set(worker.worker_id, worker);
    }
  }
  return [...newest.values()];
}

/**
 * Seconds until a job that comes now would be begun if so many compute-seconds went before it: the time by which the slots, each from
 * when it is free, have done them. Null without workers; those that drain or fell silent count as gone.
 */
export function expectedWaitS(
  workers: readonly WorkerLoad[],
  computeSecondsAhead: number,
  nowMs: number,
): number | null {
  const slots = workers
    .filter((worker) => !worker.draining && isFresh(worker, nowMs))
    .flatMap((worker) =>
      slotsFreeInS(worker, nowMs).map((freeInS) => ({ freeInS, speed: worker.speed })),
    )
    .sort((a, b) => a.freeInS - b.freeInS);
  let speed = 0;
  let left = computeSecondsAhead;
  for (const [index, slot] of slots.entries()) {
    speed += slot.speed;
    const untilNext = (slots[index + 1]?.freeInS ?? Infinity) - slot.freeInS;
    if (left <= untilNext * speed) return slot.freeInS + left / speed;
    left -= untilNext * speed;
  }
  return null;
}
