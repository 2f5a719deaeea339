import { Redis } from "ioredis";
import { afterAll, beforeAll } from "vitest";
import { queueKeys } from "../../regions/queue/queue-keys.ts";
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

queueConformance("Redis", async (now, retry) => {
  await client.flushall();
  const queue = createRedisQueue({ url, region: REGION, leaseMs: LEASE_MS, now, retry });
  await untilReachable(queue);
  return {
    queue,
    offers: async () => {
      const entries = await client.xrange(queueKeys.offers, "-", "+");
      return entries.map(([, fields]) => JSON.parse(fields[1]!) as Completion);
    },
    close: () => queue.close(),
  };
});
