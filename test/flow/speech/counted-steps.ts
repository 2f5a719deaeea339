import { Worker } from "node:worker_threads";

/** Starts a thread of an engine, and counts the runs of a graph that it tells of. */
export function countedSteps(entry: URL) {
  let steps = 0;
  return {
    count: () => steps,
    startThread(workerData: unknown): Worker {
      const thread = new Worker(entry, { workerData });
      thread.on("message", ({ type }: { type: string }) => {
        if (type === "step") steps += 1;
      });
      return thread;
    },
  };
}
