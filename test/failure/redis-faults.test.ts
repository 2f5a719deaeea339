import { Redis } from "ioredis";
import { afterEach, beforeEach, expect, test } from "vitest";
import { queueKeys } from "../../regions/queue/queue-keys.ts";
import {
  QueueFullError,
  QueueUnreachableError,
  QueueUnsafeError,
  type Queue,
  type Run,
} from "../../regions/queue/queue-port.ts";
import { createRedisQueue, type RedisQueueOptions } from "../../regions/queue/redis-queue.ts";
import { endOf, failing, jobSpec, REGION } from "../contract/queue-bench.ts";
import { untilReachable } from "../flow/queue/until-reachable.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

let redis: TestRedis;
let client: Redis;
const queues: Queue[] = [];
function open(options: Partial<RedisQueueOptions> = {}): Queue {
  const queue = createRedisQueue({ url: redis.url, region: REGION, ...options });
  queues.push(queue);
  return queue;
}
beforeEach(async () => {
  redis = await startRedis();
  client = new Redis(redis.url, { retryStrategy: () => 20 });
  client.on("error", () => undefined);
});
afterEach(async () => {
  await Promise.all(queues.splice(0).map((queue) => queue.close()));
  client.disconnect();
  await redis.close();
});

const never = new AbortController().signal;
const claim = async (queue: Queue): Promise<Run> =>
  (await queue.claim({ workerId: "w1", signal: never }))!;
const offers = () => client.xlen(queueKeys.offers);

test("a Redis without memory refuses new jobs clearly, and still lets all others come to their end", async () => {
  const queue = open();
  for (let n = 0; n < 5; n++) await queue.submit(jobSpec());
  const runs = [await claim(queue), await claim(queue), await claim(queue)];
  await client.config("SET", "maxmemory", "1mb");
  await expect(queue.submit(jobSpec())).rejects.toBeInstanceOf(QueueFullError);
  await expect(
    queue.submitFinished(jobSpec(), (run) => endOf({ ...runs[0]!, ...run }, Date.now())),
  ).rejects.toBeInstanceOf(QueueFullError);
  expect(await queue.renew(runs[0]!)).toBeDefined();
  expect(await queue.finish(runs[0]!, endOf(runs[0]!, Date.now()))).toBe("offered");
  expect(await queue.release(runs[1]!, { because: "drain" })).toBe("requeued");
  expect(await queue.release(runs[2]!, { ...failing, retryable: false })).toBe("failed");
  for (let n = 0; n < 3; n++) {
    const run = await claim(queue);
    expect(await queue.finish(run, endOf(run, Date.now()))).toBe("offered");
  }
  expect(await offers()).toBe(5);
  await client.config("SET", "maxmemory", "0");
  expect(await queue.submit(jobSpec())).toEqual({ duplicate: false, queue_position: 0 });
});

test("a Redis that has become a replica does nothing, and its jobs go on once it is the primary again", async () => {
  const queue = open();
  const spec = jobSpec();
  await queue.submit(spec);
  // A primary that nobody can reach: what counts is that this one is no longer it.
  await client.replicaof("127.0.0.1", 1);
  await client.config("SET", "replica-serve-stale-data", "yes");
  await expect(queue.submit(jobSpec())).rejects.toBeInstanceOf(QueueUnreachableError);
  const claimed = claim(queue).catch(() => claimWhenBack());
  async function claimWhenBack(): Promise<Run> {
    await untilReachable(queue);
    return claim(queue).catch(claimWhenBack);
  }
  await client.replicaof("NO", "ONE");
  expect((await claimed).spec.id).toBe(spec.id);
});

test("a Redis that evicts is refused, and used once it does so no more", async () => {
  await client.config("SET", "maxmemory-policy", "allkeys-lru");
  const told: string[] = [];
  const queue = open({ onError: ({ message }) => told.push(message) });
  await expect(queue.submit(jobSpec())).rejects.toBeInstanceOf(QueueUnsafeError);
  await expect(queue.claim({ workerId: "w1", signal: never })).rejects.toBeInstanceOf(
    QueueUnsafeError,
  );
  await expect(queue.ping()).rejects.toThrow(/maxmemory-policy is allkeys-lru/);
  expect(told.join()).toContain("noeviction");
  await client.config("SET", "maxmemory-policy", "noeviction");
  await expect
    .poll(
      () =>
        queue.ping().then(
          () => "up",
          () => "down",
        ),
      { timeout: 15_000 },
    )
    .toBe("up");
  await queue.submit(jobSpec());
});

test("in production a Redis that answers before the disk has it is refused; elsewhere it is not", async () => {
  await client.config("SET", "appendfsync", "everysec");
  await expect(open({ onDisk: true }).submit(jobSpec())).rejects.toThrow(/appendfsync is everysec/);
  await open().submit(jobSpec());
  await client.config("SET", "appendonly", "no");
  await expect(open({ onDisk: true }).submit(jobSpec())).rejects.toThrow(/appendonly is no/);
});

test("where CONFIG is forbidden, INFO tells of eviction", async () => {
  await client.call("ACL", "SETUSER", "queue", "on", ">secret", "~*", "&*", "+@all", "-config");
  const url = redis.url.replace(/:\/\/[^@]*@/, "://queue:secret@");
  await createAndUse(url);
  await client.config("SET", "maxmemory-policy", "volatile-ttl");
  await expect(createAndUse(url)).rejects.toThrow(/volatile-ttl/);
  async function createAndUse(address: string): Promise<void> {
    await open({ url: address, onDisk: true }).submit(jobSpec());
  }
});

test("what waits and runs is there after Redis has restarted, scripts and messages too", async () => {
  const queue = open();
  const [waiting, running] = [jobSpec(), jobSpec({ priority: "interactive" })];
  await queue.submit(running);
  const run = await claim(queue);
  await queue.submit(waiting);
  await redis.stop();
  await expect(queue.submit(jobSpec())).rejects.toBeInstanceOf(QueueUnreachableError);
  await redis.start();
  await untilReachable(queue);
  expect(await queue.finish(run, endOf(run, Date.now()))).toBe("offered");
  const next = await claim(queue);
  expect(next.spec.id).toBe(waiting.id);
  // A worker that waits hears of new work by a message, over its new connection.
  const waits = claim(queue);
  const late = jobSpec();
  await queue.submit(late);
  expect((await waits).spec.id).toBe(late.id);
});

test("a worker whose clock is hours off keeps its lease, and loses it when it is over", async () => {
  const [held, over] = [open({ leaseMs: 60_000 }), open({ leaseMs: 300 })];
  const realNow = Date.now;
  Date.now = () => realNow() - 5 * 3_600_000;
  try {
    await held.submit(jobSpec());
    const run = await claim(held);
    expect(await held.renew(run)).toBeDefined();
    await held.submit(jobSpec());
    const lost = await claim(over);
    await expect.poll(() => over.reap()).toMatchObject([{ outcome: "requeued" }]);
    expect(await over.finish(lost, endOf(lost, Date.now()))).toBe("fenced");
    expect(await held.finish(run, endOf(run, Date.now()))).toBe("offered");
  } finally {
    Date.now = realNow;
  }
});
