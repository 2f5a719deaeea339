import { createRedisQueue } from "../../../regions/queue/redis-queue.ts";
import { IN_FLIGHT, type Contender } from "./contender.ts";
import { outcomeOf } from "./outcome.ts";

/** Our queue with everything on: priorities, tenants, leases, attempts, state, and an offer for each end. */
export const ours: Contender = {
  name: "ours",
  async open(redisUrl) {
    const queue = createRedisQueue({ url: redisUrl, region: "us-east" });
    await queue.ping().catch(() => undefined);
    return {
      async enqueue(spec) {
        await queue.submit(spec);
      },
      async drain(count) {
        const ended = new Set<string>();
        const stop = new AbortController();
        async function lane(): Promise<void> {
          for (;;) {
            const run = await queue.claim({ workerId: "bench", signal: stop.signal });
            if (!run) return;
            const outcome = await queue.finish(run, outcomeOf(run.spec, run.epoch));
            if (outcome !== "offered") throw new Error(`${run.spec.id} was ${outcome}`);
            ended.add(run.spec.id);
            if (ended.size === count) stop.abort();
          }
        }
        await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
        return ended;
      },
      close: () => queue.close(),
    };
  },
};
