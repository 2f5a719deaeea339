import { Redis } from "ioredis";
import { afterAll, beforeAll } from "vitest";
import { queueKeys } from "../../regions/queue/queue-keys.ts";
import { unpackEndedRun } from "../../shared/contracts/ended-run.ts";
import type { Completion } from "../../regions/queue/queue-port.ts";
import { createRedisQueue } from "../../regions/queue/redis-queue.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { addServicesUser } from "../support/services-user.ts";
import { untilReachable } from "../flow/queue/until-reachable.ts";
import { LEASE_MS, REGION } from "./queue-bench.ts";
import { queueConformance } from "./queue-conformance.ts";

let redis: TestRedis;
let client: Redis;
let url: string;
beforeAll(async () => {
  // A cluster, where a step that touched keys of two slots, or told of something in another's, would fail.
  redis = await startRedis({ cluster: true });
  client = new Redis(redis.url);
  // As in production: what terraform does not allow the services, the queue must not need.
  url = await addServicesUser(redis.url);
});
afterAll(async () => {
  client.disconnect();
  await redis.close();
});

const turn = () => new Promise<void>((resolve) => void setImmediate(resolve));
/** No claim takes so many steps to come to something. */
const MANY_STEPS = 500;

queueConformance("Redis", async (now, retry) => {
  await client.flushall();
  let steps = 0;
  const clock = () => {
    steps += 1;
    return now();
  };
  const queue = createRedisQueue({ url, region: REGION, leaseMs: LEASE_MS, now: clock, retry });
  await untilReachable(queue);
  return {
    queue,
    // Each step reads the clock, and Redis answers in order: when two answers have come and no further step was taken, the claim waits.
    async foundNothing() {
      const before = steps;
      for (let seen = -1; seen !== steps && steps < before + MANY_STEPS;) {
        seen = steps;
        for (let answers = 0; answers < 2; answers++) {
          await queue.ping();
          await turn();
        }
      }
    },
    offers: async () => {
      const entries = await client.xrange(queueKeys.offers, "-", "+");
      return entries.map(([, fields]) => unpackEndedRun(JSON.parse(fields[1]!)) as Completion);
    },
    close: () => queue.close(),
  };
});
