import type { WorkerLoad } from "../contracts/load-report.ts";

/** Whether a report still counts. One from the future does, for as long as one that was made now. */
export function isFresh(report: { reported_at_ms: number; ttl_ms: number }, nowMs: number) {
  return nowMs - report.reported_at_ms <= report.ttl_ms;
}

/** Whether a worker may take a job at once. */
export function hasRoom(worker: WorkerLoad): boolean {
  return !worker.draining && worker.active_jobs < worker.capacity;
}

/**
 * When each slot of a worker will be free, in seconds from `nowMs`, soonest first. A report says only the sum of what is ahead,
 * so it is taken to be spread evenly: of n jobs at work, the k-th ends at 2k/(n+1) of their mean. What was done since the report
 * is taken off; a job that should have ended by then, and did not report so, may end at any moment.
 */
export function slotsFreeInS(worker: WorkerLoad, nowMs: number): number[] {
  const { capacity, active_jobs: active, queued_compute_seconds: ahead, speed } = worker;
  const sinceS = Math.max(0, nowMs - worker.reported_at_ms) / 1000;
  const slots = Math.max(capacity, active);
  const meanS = active === 0 ? 0 : ahead / active / speed;
  return Array.from({ length: slots }, (_, slot) => {
    const k = slot - (slots - active) + 1;
    return k <= 0 ? 0 : Math.max(0, (meanS * 2 * k) / (active + 1) - sinceS);
  }).slice(slots - capacity);
}
