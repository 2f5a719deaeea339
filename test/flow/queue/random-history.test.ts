import fc from "fast-check";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { JobSpec } from "../../../shared/contracts/job.ts";
import { createInMemoryQueue } from "../../../regions/queue/in-memory-queue.ts";
import { queueKeys } from "../../../regions/queue/queue-keys.ts";
import type { Completion, Queue, Run } from "../../../regions/queue/queue-port.ts";
import { createRedisQueue } from "../../../regions/queue/redis-queue.ts";
import { endOf, jobSpec, LEASE_MS, REGION } from "../../contract/queue-conformance.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";
import { untilReachable } from "./until-reachable.ts";

let redis: TestRedis;
let client: Redis;
let time = 1_800_000_000_000;
const now = () => time;
function open(): Queue & AsyncDisposable {
  const queue = createRedisQueue({ url: redis.url, region: REGION, leaseMs: LEASE_MS, now });
  return { ...queue, [Symbol.asyncDispose]: () => queue.close() };
}
const never = new AbortController().signal;

beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
});
afterAll(async () => {
  client.disconnect();
  await redis.close();
});

const index = fc.nat({ max: 30 });
/** A worker that crashed is one that never acts again on a run; a late one acts on any run it ever had. */
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("submit"), job: fc.nat({ max: 4 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("dispatch anew"), job: fc.nat({ max: 4 }) }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("claim") }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("renew"), run: index }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("finish"), run: index }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("hand back"), run: index }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("give up"), run: index }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("reap") }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("wait"), ms: fc.nat({ max: LEASE_MS }) }) },
) as fc.Arbitrary<{ do: string; job?: number; run?: number; ms?: number }>;

const offersInRedis = async () => {
  const entries = await client.xrange(queueKeys.offers, "-", "+");
  return entries.map(([, fields]) => JSON.parse(fields[1]!) as Completion);
};

test("through any history, every job's last dispatch ends in exactly one offer, and no stale run makes one", async () => {
  let offered = 0;
  let fenced = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80 }), async (history) => {
      await client.flushall();
      await using queue = open();
      await untilReachable(queue);
      // The same history on the queue in memory says what each answer must be.
      const model = createInMemoryQueue({ region: REGION, leaseMs: LEASE_MS, now });
      const jobs = (["interactive", "standard", "standard", "batch", "batch"] as const).map(
        (priority) => jobSpec({ priority }),
      );
      const submitted = new Map<string, JobSpec>();
      const runs: Run[] = [];

      async function both<T>(work: (on: Queue) => Promise<T>): Promise<T> {
        const [ours, expected] = [await work(queue), await work(model)];
        expect(ours).toEqual(expected);
        return ours;
      }
      async function claim(): Promise<Run | undefined> {
        if ((await both((on) => on.load())).waiting === 0) return undefined;
        const run = await both((on) => on.claim({ workerId: "w", signal: never }));
        runs.push(run!);
        return run;
      }
      async function finish(run: Run): Promise<void> {
        if ((await both((on) => on.finish(run, endOf(run, time)))) === "offered") offered++;
        else fenced++;
      }

      for (const { do: what, job, run: nth, ms } of history) {
        const run = nth === undefined ? undefined : runs[nth % Math.max(1, runs.length)];
        if (what === "submit" || what === "dispatch anew") {
          const spec = submitted.get(jobs[job!]!.id) ?? jobs[job!]!;
          const dispatch = spec.dispatch + (what === "submit" ? 0 : 1);
          submitted.set(spec.id, { ...spec, dispatch });
          // Not the position: the Redis queue counts a place that was given up in the line as one ahead.
          await both(async (on) => (await on.submit({ ...spec, dispatch })).duplicate);
        } else if (what === "claim") await claim();
        else if (what === "reap") await both((on) => on.reap());
        else if (what === "wait") time += ms!;
        else if (run && what === "renew") await both((on) => on.renew(run));
        else if (run && what === "finish") await finish(run);
        else if (run) {
          await both((on) =>
            on.release(
              run,
              what === "give up"
                ? { because: "error", code: "internal", retryable: true, reason: "test" }
                : { because: "drain" },
            ),
          );
        }
      }

      // All workers are gone; one comes that does its work.
      time += LEASE_MS;
      await both((on) => on.reap());
      for (let run = await claim(); run; run = await claim()) await finish(run);
      // Late ones come to the end only now.
      for (const run of runs) await finish(run);

      expect(await queue.load()).toEqual({ waiting: 0, running: 0 });
      const offers = await offersInRedis();
      const seen = offers.map(({ offer }) => `${offer.job_id} ${offer.epoch.dispatch}`);
      expect(new Set(seen).size).toBe(seen.length);
      const last = [...submitted.values()].map((spec) => `${spec.id} ${spec.dispatch}`);
      expect(seen).toEqual(expect.arrayContaining(last));
    }),
    { seed: 20_260_101, numRuns: 40 },
  );
  // The histories were worth something.
  expect(offered).toBeGreaterThan(50);
  expect(fenced).toBeGreaterThan(50);
}, 60_000);
