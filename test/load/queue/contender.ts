import type { JobSpec } from "../../../shared/contracts/job.ts";

/** A queue that takes part in the bench: it gets a Redis of its own, which is empty, and one process's thread. */
export interface Contender {
  name: string;
  open(redisUrl: string): Promise<OpenContender>;
}

export interface OpenContender {
  /** Takes one job; settles once it is on disk. */
  enqueue(spec: JobSpec): Promise<void>;
  /** Runs all that waits, each job once, IN_FLIGHT of them at a time; settles to the ids of the jobs that ended, once their ends are on disk. */
  drain(count: number): Promise<Set<string>>;
  close(): Promise<void>;
}

/** How many commands or jobs are under way at a time, for every contender. */
export const IN_FLIGHT = 50;

/** Calls `work` for each of `items`, IN_FLIGHT of them at a time. */
export async function inFlight<T>(items: readonly T[], work: (item: T) => Promise<unknown>) {
  let next = 0;
  async function lane(): Promise<void> {
    while (next < items.length) await work(items[next++]!);
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
}
