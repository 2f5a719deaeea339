import { createInMemoryQueue } from "../../regions/queue/in-memory-queue.ts";
import { LEASE_MS, REGION } from "./queue-bench.ts";
import { queueConformance } from "./queue-conformance.ts";

queueConformance("in-memory", async (now, retry) => {
  const queue = createInMemoryQueue({ region: REGION, leaseMs: LEASE_MS, now, retry });
  return {
    queue,
    offers: async () => queue.offers,
    // It has looked when its call returns; what it found is told in the same turn.
    foundNothing: () => new Promise((resolve) => void setImmediate(resolve)),
    close: () => queue.close(),
  };
});
