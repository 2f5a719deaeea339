import type { SimulatedEnd, Simulation } from "./simulation.ts";

/** Seconds are from a job's arrival to its end, unless they say otherwise. */
export interface Figures {
  jobs: number;
  meanS: number;
  p50S: number;
  p95S: number;
  p99S: number;
  worstS: number;
  /** From arrival to the beginning. */
  meanWaitS: number;
  /** Share of the compute there was that was used: while jobs came, and until the last one ended. */
  utilization: number;
  utilizationToTheEnd: number;
}

/** What came of one simulation. */
export function summarise(run: Simulation): Figures {
  return {
    ...summariseEnds(run.ends),
    utilization: share(run.doneWhileComing, run.possibleWhileComing),
    utilizationToTheEnd: share(run.done, run.possible),
  };
}

/** The figures that are of jobs alone; zeros for no jobs. */
export function summariseEnds(ends: readonly SimulatedEnd[]) {
  const took = ends.map(({ job, endedAtS }) => endedAtS - job.arrivesAtS).sort((a, b) => a - b);
  const at = (share: number) =>
    took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? 0;
  return {
    jobs: ends.length,
    meanS: mean(took),
    p50S: at(0.5),
    p95S: at(0.95),
    p99S: at(0.99),
    worstS: at(1),
    meanWaitS: mean(ends.map(({ job, startedAtS }) => startedAtS - job.arrivesAtS)),
  };
}

/** Each figure's mean over several simulations. */
export function meanFigures(runs: readonly Figures[]): Figures {
  const over = (name: keyof Figures) => mean(runs.map((run) => run[name]));
  return {
    jobs: over("jobs"),
    meanS: over("meanS"),
    p50S: over("p50S"),
    p95S: over("p95S"),
    p99S: over("p99S"),
    worstS: over("worstS"),
    meanWaitS: over("meanWaitS"),
    utilization: over("utilization"),
    utilizationToTheEnd: over("utilizationToTheEnd"),
  };
}

export function mean(values: readonly number[]): number {
  if (values.length === 0) return 0;
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
