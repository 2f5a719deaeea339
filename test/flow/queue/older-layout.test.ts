import { readFile } from "node:fs/promises";
import { Redis } from "ioredis";
import { afterEach, beforeEach, expect, test } from "vitest";
import { queueKeys } from "../../../regions/queue/queue-keys.ts";
import type { Queue, Run } from "../../../regions/queue/queue-port.ts";
import { createRedisQueue } from "../../../regions/queue/redis-queue.ts";
import type { JobSpec } from "../../../shared/contracts/job.ts";
import { endOf, REGION } from "../../contract/queue-bench.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";
import { untilReachable } from "./until-reachable.ts";

/**
 * What a queue wrote that kept its figures in the hash `book`: the commands that make it anew. Ten jobs of 4 compute-seconds: one
 * runs, one waits for its second attempt, the others are as their names say.
 */
interface Layout {
  now: number;
  jobs: Record<string, string>;
  commands: [command: string, ...args: string[]][];
}
const file = new URL("../../fixtures/queue-layouts/book-hash.json", import.meta.url);
const layout = JSON.parse(await readFile(file, "utf8")) as Layout;
const nameOf = new Map(Object.entries(layout.jobs).map(([name, id]) => [id, name]));

let redis: TestRedis;
let client: Redis;
let queue: Queue;
let now: number;
beforeEach(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
  now = layout.now;
  queue = createRedisQueue({ url: redis.url, region: REGION, leaseMs: 1000, now: () => now });
  await untilReachable(queue);
});
afterEach(async () => {
  await queue.close();
  client.disconnect();
  await redis.close();
});

const bytes = (value: string) =>
  value.startsWith("base64:") ? Buffer.from(value.slice(7), "base64") : value;
async function write(commands: Layout["commands"]): Promise<void> {
  for (const [command, ...args] of commands) await client.call(command, ...args.map(bytes));
}
const named = ({ spec }: Run) => nameOf.get(spec.id);
const { signal } = new AbortController();
const claimAll = () => queue.claimMany({ workerId: "w1", max: 20, signal });
const end = (run: Run) => queue.finish(run, endOf(run, now));

test("jobs that an older version left behind wait, run and end, each once", async () => {
  await write(layout.commands);
  expect(await queue.load()).toMatchObject({ waiting: 7, computeS: 28, running: 1, delayed: 2 });

  const first = await claimAll();
  expect(first).toHaveLength(6);
  expect(new Set(first.map(named))).toEqual(
    new Set([
      "capped",
      "interactive",
      "standard",
      "standard of another tenant",
      "vip",
      "with a deadline",
    ]),
  );
  // What was running goes on under its lease, and what it was given counts.
  const id = layout.jobs["running"]!;
  const spec = JSON.parse((await client.get(`${queueKeys.prefix}spec:${id}`))!) as JobSpec;
  const running = { ...first[0]!, workerId: "w0", spec, epoch: { dispatch: 1, attempt: 1 } };
  for (const run of [running, ...first]) expect(await end(run)).toBe("offered");

  const held = await claimAll();
  expect(held.map(named)).toEqual(["held by its tenant's limit"]);
  expect(await end(held[0]!)).toBe("offered");

  now += 5000;
  const later = await claimAll();
  expect(later.map((run) => [named(run), run.epoch.attempt, run.triedBefore])).toEqual([
    ["failed once", 2, 1],
    ["delayed", 1, 0],
  ]);
  for (const run of later) expect(await end(run)).toBe("offered");

  expect(await client.xlen(queueKeys.offers)).toBe(nameOf.size);
  expect(await queue.load()).toMatchObject({ waiting: 0, computeS: 0, running: 0, delayed: 0 });
});

test("a job that an older version takes while this one is at work already is found with the next look at what is due", async () => {
  const isOf = (name: string) => (command: string[]) =>
    command[1]!.endsWith(`:${layout.jobs[name]!}`);
  const late = layout.commands.filter(isOf("standard"));
  await write(layout.commands.filter((command) => !late.includes(command)));
  const lane = `${queueKeys.prefix}lane:standard`;
  await client.zrem(lane, layout.jobs["standard"]!);
  await client.hset(`${queueKeys.prefix}book`, { j4: 3, c4: 12_000 });
  for (const run of await claimAll()) await end(run);
  await claimAll();

  // To a process of the older version, the hash that is gone is one of an empty queue.
  await write([
    ...late,
    ["ZADD", lane, "8000", layout.jobs["standard"]!],
    ["HSET", `${queueKeys.prefix}book`, "seq", "1", "j4", "1", "c4", "4000"],
  ]);
  await queue.reap();
  expect((await claimAll()).map(named)).toEqual(["standard"]);
  await queue.reap();
  expect(await queue.load()).toMatchObject({ waiting: 0, computeS: 0 });
});
