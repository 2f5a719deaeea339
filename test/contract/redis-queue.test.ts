import { afterAll, beforeAll } from "vitest";
import { queueKeys } from "../../regions/queue/queue-keys.ts";
import type { Completion } from "../../regions/queue/queue-port.ts";
import { createRedisQueue } from "../../regions/queue/redis-queue.ts";
import { startRedis, type RunningRedis } from "../flow/queue/start-redis.ts";
import { untilReachable } from "../flow/queue/until-reachable.ts";
import { LEASE_MS, queueConformance, REGION } from "./queue-conformance.ts";

let redis: RunningRedis;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.close());

queueConformance("Redis", async (now) => {
  await redis.client.flushall();
  const queue = createRedisQueue({ url: redis.url, region: REGION, leaseMs: LEASE_MS, now });
  await untilReachable(queue);
  return {
    queue,
    offers: async () => {
      const entries = await redis.client.xrange(queueKeys.offers, "-", "+");
      return entries.map(([, fields]) => JSON.parse(fields[1]!) as Completion);
    },
    close: () => queue.close(),
  };
});
