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
        const claim = () => queue.claim({ workerId: "bench", signal: stop.signal });
        async function lane(): Promise<void> {
          let next = claim();
          for (;;) {
            const run = await next;
            if (!run) return;
            const finished = queue.finish(run, outcomeOf(run.spec, run.epoch));
            // The work is done, so there is room: as BullMQ does, the next job is asked for behind the end of the last one.
            next = claim();
            const outcome = await finished;
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
