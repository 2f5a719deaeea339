import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Queue } from "../../../regions/queue/queue-port.ts";
import { queueKeys } from "../../../regions/queue/queue-keys.ts";
import { createRedisQueue } from "../../../regions/queue/redis-queue.ts";
import { endOf, jobSpec, REGION } from "../../contract/queue-bench.ts";
import { startRedis, untilReady, type TestRedis } from "../../support/redis.ts";
import { untilReachable } from "./until-reachable.ts";

let redis: TestRedis;
let client: Redis;
let listener: Redis;
let queue: Queue;
const heard: string[] = [];
beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
  listener = new Redis(redis.url);
  await Promise.all([untilReady(client), untilReady(listener)]);
  listener.on("smessage", (_channel: string, message: string) => heard.push(message));
  await listener.ssubscribe(queueKeys.events);
  queue = createRedisQueue({ url: redis.url, region: REGION });
  await untilReachable(queue);
});
afterAll(async () => {
  await queue?.close();
  client?.disconnect();
  listener?.disconnect();
  await redis?.close();
});

/** The changes that were told of since this was last asked. */
async function told(): Promise<string[]> {
  await client.spublish(queueKeys.events, "until here");
  await expect.poll(() => heard).toContain("until here");
  return heard.splice(0).filter((message) => message.startsWith("s"));
}

test("each change of a job that is followed is told at once, and neither a renewal nor what happens to others", async () => {
  const [followed, other] = [jobSpec(), jobSpec()];
  const { signal } = new AbortController();
  const change = [`s${followed.id}`];
  for (const spec of [followed, other]) await queue.submit(spec);
  await queue.watch(followed.id, { signal })[Symbol.asyncIterator]().next();
  expect(await told()).toEqual([]);

  const runs = await queue.claimMany({ workerId: "w1", max: 2, signal });
  expect(runs).toHaveLength(2);
  expect(await told()).toEqual(change);
  for (const run of runs) expect(await queue.renew(run)).toBeDefined();
  expect(await told()).toEqual([]);
  for (const run of runs) expect(await queue.progress(run, 0.5)).toBe(true);
  expect(await told()).toEqual(change);
  for (const run of runs) expect(await queue.finish(run, endOf(run, Date.now()))).toBe("offered");
  expect(await told()).toEqual(change);
});
