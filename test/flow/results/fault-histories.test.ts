import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import { createBatchWriter, type FinalJobsTarget } from "../../../regions/results/batch-writer.ts";
import { createRedis, type Redis } from "../../../regions/results/redis.ts";
import { resultKeys } from "../../../regions/results/result-keys.ts";
import { createDatabase, type Database } from "../../../regions/store/database.ts";
import { createFinalJobs } from "../../../regions/store/final-jobs.ts";
import { migrate } from "../../../regions/store/migrate.ts";
import { createRandom } from "../../../scripts/simulate/create-random.ts";
import { startPostgres, type TestCluster } from "../../support/postgres.ts";
import { startRedis, untilReady, type TestRedis } from "../../support/redis.ts";
import { silent } from "../api/region-bench.ts";
import { makeRun, newJobId } from "./make-run.ts";

const SEEDS = 100;
/** Histories at once, each in a database of Redis of its own: most of their time they wait. */
const LANES = 8;
const JOBS = 6;

let cluster: TestCluster;
let server: TestRedis;
let lanes: Redis[];
let database: Database;

beforeAll(async () => {
  [cluster, server] = await Promise.all([startPostgres(), startRedis()]);
  lanes = Array.from({ length: LANES }, (_, lane) => createRedis(`${server.url}/${lane}`));
  await Promise.all(lanes.map((redis) => untilReady(redis)));
  database = createDatabase({ primaryUrl: cluster.primary.url, replicaUrl: cluster.primary.url });
  await migrate(database.primary);
}, 90_000);
afterAll(async () => {
  for (const redis of lanes ?? []) redis.disconnect();
  await database?.close();
  await Promise.all([cluster?.close(), server?.close()]);
});

/**
 * The database behind a link that fails as links do: before a statement, after its commit (the writer never hears of it), or while a
 * replica is waited for.
 */
function faultyTarget(random: () => number, faults: { left: number }): FinalJobsTarget {
  const real = createFinalJobs(database);
  const fails = (chance: number) => faults.left > 0 && random() < chance && faults.left-- > 0;
  return {
    async write(envelopes) {
      if (fails(0.2)) throw new Error("the link broke before the statement");
      const answer = await real.write(envelopes);
      if (fails(0.4)) throw new Error("the link broke after the commit");
      return answer;
    },
    async waitForReplay() {
      if (fails(0.3)) throw new Error("no replica confirmed");
    },
  };
}

/** One history: runs come to the outbox in any order, some twice, some of older epochs, while two writers fail and are replaced. */
async function history(redis: Redis, seed: number): Promise<Map<string, number>> {
  const random = createRandom(seed).next;
  const faults = { left: 8 };
  const newest = new Map<string, number>();
  const entries: string[] = [];
  for (let job = 0; job < JOBS; job++) {
    const jobId = newJobId();
    const attempts = 1 + Math.floor(random() * 3);
    newest.set(jobId, attempts);
    for (let attempt = 1; attempt <= attempts; attempt++) {
      const { envelope } = makeRun({ jobId, attempt });
      for (let copy = 0; copy <= Math.floor(random() * 2); copy++) {
        entries.push(JSON.stringify(envelope));
      }
    }
  }
  const order = entries.map((text) => ({ text, at: random() })).sort((a, b) => a.at - b.at);

  const stop = new AbortController();
  /** A writer, and after its end the next, until the history ends. */
  async function writers(): Promise<void> {
    while (!stop.signal.aborted) {
      const life = new AbortController();
      const writer = createBatchWriter({
        redis,
        target: faultyTarget(random, faults),
        logger: silent,
        metrics: createMetrics(),
        batchSize: 1 + Math.floor(random() * 4),
        stream: {
          blockMs: 5,
          claimAfterMs: 20,
          youngClaimAfterMs: 5,
          graceMs: 1,
          backoff: { minMs: 1, maxMs: 5 },
        },
      });
      // Replaced in mid-work as long as faults are left; the last one stays.
      const killed = random() < 0.7 && faults.left > 0;
      const timer = killed
        ? sleep(Math.floor(random() * 30), undefined, { signal: stop.signal }).then(
            () => life.abort(new Error("killed")),
            () => undefined,
          )
        : undefined;
      await writer.run(AbortSignal.any([life.signal, stop.signal]));
      if (killed && faults.left > 0) faults.left--;
      await timer;
    }
  }
  const running = [writers(), writers()];
  for (const { text } of order) await redis.xadd(resultKeys.outbox, "*", "envelope", text);
  await expect.poll(() => redis.xlen(resultKeys.outbox), { interval: 5 }).toBe(0);
  stop.abort(new Error("the history ends"));
  await Promise.all(running);
  return newest;
}

test(`in ${SEEDS} histories of writers that fail and die each job has one row, one result of its newest run, and one row of usage for each stage`, async () => {
  const check = async (redis: Redis, seed: number) => {
    const newest = await history(redis, seed);
    const ids = JSON.stringify([...newest.keys()]);
    const rows = await database.primary<
      {
        id: string;
        jobs: number;
        results: number;
        attempt: number;
        of_result: number;
        usage: number;
      }[]
    >`
      select id, (select count(*)::int from jobs where jobs.id = wanted.id) as jobs,
        (select count(*)::int from results where job_id = wanted.id) as results,
        (select max(attempt) from jobs where jobs.id = wanted.id) as attempt,
        (select max((result -> 'epoch' ->> 'attempt')::int) from results where job_id = wanted.id) as of_result,
        (select count(*)::int from usage_events where job_id = wanted.id) as usage
      from jsonb_array_elements_text(${ids}::text::jsonb) as wanted (id)`;
    const expected = Array.from(newest, ([id, attempt]) => ({
      id,
      jobs: 1,
      results: 1,
      attempt,
      of_result: attempt,
      usage: 2,
    }));
    expect(rows.toSorted(byId), `seed ${seed}`).toEqual(expected.toSorted(byId));
    expect(await redis.xlen(resultKeys.deadOutbox)).toBe(0);
  };
  const seeds = Array.from({ length: SEEDS }, (_, n) => n + 1).values();
  await Promise.all(
    lanes.map(async (redis) => {
      for (const seed of seeds) await check(redis, seed);
    }),
  );
});

const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);
