import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { unpackEndedRun } from "../../../shared/contracts/ended-run.ts";
import type { JobSpec } from "../../../shared/contracts/job.ts";
import { failed } from "../../../regions/queue/completion.ts";
import { createInMemoryQueue } from "../../../regions/queue/in-memory-queue.ts";
import { queueKeys } from "../../../regions/queue/queue-keys.ts";
import type { Completion, Queue, Run } from "../../../regions/queue/queue-port.ts";
import { createRedisQueue } from "../../../regions/queue/redis-queue.ts";
import { endOf, failing, jobSpec, LEASE_MS, REGION } from "../../contract/queue-bench.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";
import { untilReachable } from "./until-reachable.ts";

/** ANTIPHON_SEED=n runs that history alone; it goes exactly as it went among the others. */
const only = process.env["ANTIPHON_SEED"];
const seeds = only === undefined ? Array.from({ length: 200 }, (_, n) => n + 1) : [Number(only)];
const STEPS = 60;
/** Every so many histories Redis is stopped in the middle, and started again. */
const RESTART_EVERY = 50;

let redis: TestRedis;
let client: Redis;
beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url, { retryStrategy: () => 10 });
  client.on("error", () => undefined);
  // What is tested here is what the steps do. That each is on disk before its answer would take minutes.
  await client.config("SET", "appendfsync", "no");
});
afterAll(async () => {
  client.disconnect();
  await redis.close();
});

const offersInRedis = async () => {
  const entries = await client.xrange(queueKeys.offers, "-", "+");
  return entries.map(([, fields]) => unpackEndedRun(JSON.parse(fields[1]!)) as Completion);
};

const totals = { offered: 0, fenced: 0, canceled: 0, late: 0, failed: 0, restarts: 0 };

/**
 * A history of a region: jobs of several tenants come, some twice, some under newer dispatches or with a result that is known; workers
 * claim, renew, report, finish, hand back and fail; one that crashed never acts again on a run, one that was paused acts on it much
 * later. The same steps on the queue in memory say what each answer must be; then it is judged from outside.
 */
async function live(seed: number): Promise<void> {
  const random = createRandom(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  let time = 1_800_000_000_000;
  const now = () => time;
  const settings = {
    region: REGION,
    leaseMs: LEASE_MS,
    // Few, so that many jobs come to their last one.
    maxAttempts: 2,
    maxStalls: 2,
    now,
    retry: { baseMs: 400, random: () => 0.5 },
  };
  await client.flushall();
  const queue = createRedisQueue({ ...settings, url: redis.url });
  const model = createInMemoryQueue(settings);
  const never = new AbortController().signal;

  const at = (ms: number) => new Date(time + ms).toISOString();
  const jobs = Array.from({ length: 8 }, (_, n) => ({
    spec: jobSpec({
      tenant_id: `ten_${n % 3}`,
      priority: pick(["interactive", "standard", "batch"]),
      ...(n % 3 === 2 ? { tenant: { max_concurrent: 1 + (n % 2) } } : {}),
      ...(n % 3 === 1 && random() < 0.5 ? { tenant: { vip: true } } : {}),
      ...(random() < 0.2 ? { deadline_at: at(random() * 6 * LEASE_MS) } : {}),
      ...(random() < 0.2 ? { not_before: at(random() * 3 * LEASE_MS) } : {}),
    }),
    estimateS: pick([0.1, 1, 1, 5, 30]),
  }));
  const submitted = new Map<string, JobSpec>();
  const runs: Run[] = [];
  const answers = new Map<string, string>();
  const name = ({ spec, epoch }: Pick<Run, "spec" | "epoch">) =>
    `${spec.id} ${epoch.dispatch}-${epoch.attempt}`;

  async function both<T>(work: (on: Queue) => Promise<T>): Promise<T> {
    const [ours, expected] = [await work(queue), await work(model)];
    expect(ours).toEqual(expected);
    return ours;
  }
  async function claim(maxEstimateS?: number): Promise<Run | undefined> {
    const stop = new AbortController();
    const room = maxEstimateS === undefined ? {} : { maxEstimateS };
    const terms = { workerId: "w", signal: stop.signal, ...room };
    const expected = model.claim(terms);
    // In memory a run is there at once, or there is none.
    const isThere = await Promise.race([expected.then(() => true), turn().then(() => false)]);
    if (isThere) {
      const run = await queue.claim({ ...terms, signal: never });
      expect(run).toEqual(await expected);
      if (run) runs.push(run);
      return run;
    }
    const ours = queue.claim(terms);
    // It goes out at the end of this turn, and looks, as the other did.
    await turn();
    await queue.ping();
    stop.abort();
    expect(await ours).toBeUndefined();
    await expected;
    return undefined;
  }
  async function finish(run: Run): Promise<void> {
    const outcome = await both((on) => on.finish(run, endOf(run, time)));
    totals[outcome]++;
    if (!(outcome === "fenced" && answers.get(name(run)) === "offered"))
      answers.set(name(run), outcome);
  }
  async function step(): Promise<void> {
    const job = pick(jobs);
    const run = runs.length > 0 ? pick(runs.slice(-6)) : undefined;
    const chance = random() * 100;
    if (chance < 22) {
      const known = submitted.get(job.spec.id);
      const dispatch = (known?.dispatch ?? 1) + (known && random() < 0.3 ? 1 : 0);
      const spec = { ...job.spec, dispatch };
      submitted.set(spec.id, spec);
      await both((on) =>
        chance < 20
          ? on.submit(spec, { estimateS: job.estimateS })
          : on.submitFinished(spec, (ending) =>
              failed({ ...ending, region: REGION, finishedAtMs: time, code: "audio_empty" }),
            ),
      );
    } else if (chance < 48) await claim(random() < 0.3 ? 2 : undefined);
    else if (chance < 58) time += Math.floor(random() * LEASE_MS);
    else if (chance < 66) {
      for (const { outcome } of await both(async (on) => (await on.reap()).toSorted(byJob))) {
        if (outcome === "deadline_exceeded") totals.late++;
        if (outcome === "failed") totals.failed++;
      }
    } else if (chance < 70) {
      if ((await both((on) => on.cancel(job.spec.id))) === "canceled") totals.canceled++;
    } else if (chance < 74) await both((on) => on.load());
    else if (chance < 78) await both((on) => on.state(job.spec.id));
    else if (run === undefined) return;
    else if (chance < 84) await both((on) => on.renew(run));
    else if (chance < 86) {
      const fraction = random();
      await both((on) => on.progress(run, fraction));
    } else if (chance < 94) await finish(run);
    else if (chance < 96) await both((on) => on.release(run, { because: "drain" }));
    else if ((await both((on) => on.release(run, failing))) === "failed") totals.failed++;
  }

  try {
    await untilReachable(queue);
    const restartAt = seed % RESTART_EVERY === 0 ? Math.floor(random() * STEPS) : -1;
    for (let n = 0; n < STEPS; n++) {
      if (n === restartAt) {
        await redis.stop();
        await redis.start();
        await untilReachable(queue);
        totals.restarts++;
      }
      await step();
    }
    // All workers are gone. Others come, and go on until nothing is left.
    for (let rounds = 0; rounds < 40; rounds++) {
      time += LEASE_MS;
      await both(async (on) => (await on.reap()).toSorted(byJob));
      for (let run = await claim(); run; run = await claim()) await finish(run);
      const { waiting, running, delayed } = await both((on) => on.load());
      if (waiting + running + delayed === 0) break;
    }
    // Those that were paused come to the end only now.
    for (const run of runs) await finish(run);

    expect(await queue.load()).toMatchObject({ waiting: 0, running: 0, delayed: 0 });
    const seen = (await offersInRedis()).map(({ offer }) => offer);
    const byDispatch = seen.map(({ job_id, epoch }) => `${job_id} ${epoch.dispatch}`);
    expect(new Set(byDispatch).size, "one end of each dispatch").toBe(byDispatch.length);
    const last = [...submitted.values()].map(({ id, dispatch }) => `${id} ${dispatch}`);
    expect(byDispatch, "every job came to an end").toEqual(expect.arrayContaining(last));
    const ends = new Set(
      seen.map(({ job_id, epoch }) => `${job_id} ${epoch.dispatch}-${epoch.attempt}`),
    );
    for (const [run, answer] of answers) {
      if (answer === "offered") expect(ends, "what was taken is there").toContain(run);
    }
    // Nothing is left of the work but records, their ends and dead letters.
    const left = (await client.keys("*")).map((key) => key.replace(queueKeys.prefix, ""));
    expect(left.filter((key) => !/^(job|spec):|^(figures|offers|dead)$/.test(key))).toEqual([]);
  } finally {
    await queue.close();
    await model.close();
  }
}

test("through any history every job's last dispatch ends in exactly one offer, and no stale run makes one", async () => {
  for (const seed of seeds) {
    try {
      await live(seed);
    } catch (error) {
      throw new Error(`history ${seed} (ANTIPHON_SEED=${seed} runs it alone)`, { cause: error });
    }
  }
  if (only !== undefined) return;
  // The histories were worth something.
  for (const [what, times] of Object.entries(totals)) {
    expect(times, what).toBeGreaterThan(what === "restarts" ? 3 : 10);
  }
}, 120_000);

const turn = () => new Promise<void>((resolve) => void setImmediate(resolve));
const byJob = (a: { jobId: string }, b: { jobId: string }) => (a.jobId < b.jobId ? -1 : 1);

/** Mulberry32: numbers from 0 to 1, the same for the same seed. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
