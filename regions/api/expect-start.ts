import type { RegionJobState } from "../../shared/contracts/internal-api.ts";
import { expectedWaitS } from "../../shared/policies/region-load.ts";
import type { Queue } from "../queue/queue-port.ts";

/** What waits and who works changes slowly next to how often clients ask. */
const LOOK_EVERY_MS = 500;

/**
 * When a job that waits will be begun: once the workers there are have done what goes before it, each of those jobs taken to be as
 * long as the mean of all that wait. Undefined when nobody is there to begin it, or the queue is away.
 */
export function createExpectStart(queue: Pick<Queue, "load" | "workers">) {
  let seen: { atMs: number; look: ReturnType<typeof ask> } | undefined;
  const ask = () => Promise.all([queue.load(), queue.workers()]);

  return async ({ queue_position }: RegionJobState): Promise<string | undefined> => {
    if (!seen || performance.now() - seen.atMs > LOOK_EVERY_MS) {
      seen = { atMs: performance.now(), look: ask() };
    }
    try {
      const [{ waiting, computeS }, { nowMs, workers }] = await seen.look;
      const ahead = (queue_position ?? 0) * (computeS / Math.max(1, waiting));
      const waitS = expectedWaitS(workers, ahead, nowMs);
      return waitS === null ? undefined : new Date(nowMs + waitS * 1000).toISOString();
    } catch {
      seen = undefined;
      return undefined;
    }
  };
}
