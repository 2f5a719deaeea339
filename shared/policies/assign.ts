/** A worker as a balancer sees it that hands jobs over as they come. */
export interface Assignable {
  /** Jobs handed to it that have not ended. */
  jobs: number;
  /** Share it should get; 1 for all where speeds are unknown. */
  weight: number;
}

/** Each in turn. @returns index of the worker for the `turn`-th job, counted from 0 */
export function roundRobin(turn: number, workers: readonly Assignable[]): number {
  return turn % workers.length;
}

/**
 * In turn, each as often as its weight says and as evenly as can be: of `turn` jobs before, the worker that is furthest behind its
 * share. @param given how many of them each worker got
 */
export function weightedRoundRobin(
  turn: number,
  workers: readonly Assignable[],
  given: readonly number[],
): number {
  const total = workers.reduce((sum, { weight }) => sum + weight, 0);
  return indexOfLeast(workers, ({ weight }, i) => ((given[i] ?? 0) + 1) / (weight / total), turn);
}

/** Whoever has the fewest jobs for its weight; among equals each in turn. */
export function leastConnections(turn: number, workers: readonly Assignable[]): number {
  return indexOfLeast(workers, ({ jobs, weight }) => (jobs + 1) / weight, turn);
}

function indexOfLeast(
  workers: readonly Assignable[],
  cost: (worker: Assignable, index: number) => number,
  turn: number,
): number {
  let best = -1;
  let least = Infinity;
  for (let step = 0; step < workers.length; step += 1) {
    const index = (turn + step) % workers.length;
    const value = cost(workers[index]!, index);
    if (value < least) {
      least = value;
      best = index;
    }
  }
  return best;
}
