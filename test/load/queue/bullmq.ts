import { Queue, Worker } from "bullmq";
import type { JobSpec } from "../../../shared/contracts/job.ts";
import { IN_FLIGHT, type Contender } from "./contender.ts";
import { outcomeOf } from "./outcome.ts";

const QUEUE = "jobs";

/**
 * BullMQ as its users have it: `add` and a worker of concurrency 50, with retries allowed and what a job came to kept as its
 * return value. Without priorities and groups: it is fastest so.
 */
export const bullmq: Contender = {
  name: "BullMQ",
  async open(redisUrl) {
    const { hostname, port, password } = new URL(redisUrl);
    const connection = { host: hostname, port: Number(port), password };
    const queue = new Queue<JobSpec>(QUEUE, {
      connection,
      defaultJobOptions: { attempts: 3, backoff: { type: "exponential", delay: 1000 } },
    });
    await queue.waitUntilReady();
    let onEnded = (_id: string) => {};
    const worker = new Worker<JobSpec>(
      QUEUE,
      async ({ data }) => outcomeOf(data, { dispatch: 1, attempt: 1 }),
      { connection, concurrency: IN_FLIGHT, autorun: false },
    );
    worker.on("completed", ({ data }) => onEnded(data.id));
    await worker.waitUntilReady();
    return {
      async enqueue(spec) {
        await queue.add("analysis", spec, { jobId: spec.id });
      },
      async drain(count) {
        const ended = new Set<string>();
        const all = Promise.withResolvers<void>();
        onEnded = (id) => {
          ended.add(id);
          if (ended.size === count) all.resolve();
        };
        void worker.run().catch(all.reject);
        await all.promise;
        return ended;
      },
      async close() {
        await worker.close(true);
        await queue.close();
      },
    };
  },
};
