import type { SimulatedJob } from "./make-workload.ts";

/**
 * Mean seconds from arrival to end when jobs can be stopped and moved for nothing and all durations are known: the shortest remaining
 * job is always on the fastest worker, the next on the next. For jobs that are all there it is optimal on workers of different speeds
 * (Gonzalez 1977); for jobs that come, a figure that no policy which lets jobs run can be expected to reach.
 */
export function preemptiveMeanS(jobs: readonly SimulatedJob[], speeds: readonly number[]): number {
  const fastestFirst = speeds.toSorted((a, b) => b - a);
  const active: { left: number; arrivedAtS: number }[] = [];
  let now = 0;
  let next = 0;
  let total = 0;
  while (next < jobs.length || active.length > 0) {
    active.sort((a, b) => a.left - b.left);
    const served = Math.min(active.length, fastestFirst.length);
    const arrival = jobs[next]?.arrivesAtS ?? Infinity;
    let step = arrival - now;
    let ends = -1;
    for (let i = 0; i < served; i += 1) {
      const needs = active[i]!.left / fastestFirst[i]!;
      if (needs < step) {
        step = needs;
        ends = i;
      }
    }
    for (let i = 0; i < served; i += 1) active[i]!.left -= step * fastestFirst[i]!;
    if (ends >= 0) {
      now += step;
      total += now - active[ends]!.arrivedAtS;
      active.splice(ends, 1);
    } else {
      now = arrival;
      active.push({ left: jobs[next]!.work, arrivedAtS: now });
      next += 1;
    }
  }
  return total / jobs.length;
}
