import { pino } from "pino";
import type { OutboxEnvelope } from "../../shared/contracts/completion.ts";
import type { WalPosition } from "../../shared/contracts/primary.ts";
import { createMetrics } from "../../regions/ops/metrics.ts";
import { createBatchWriter } from "../../regions/results/batch-writer.ts";
import { createRedis, type Redis } from "../../regions/results/redis.ts";
import { resultKeys } from "../../regions/results/result-keys.ts";
import { createDatabase } from "../../regions/store/database.ts";
import { createFinalJobs } from "../../regions/store/final-jobs.ts";
import { migrate } from "../../regions/store/migrate.ts";
import { currentMonths, ensurePartitions } from "../../regions/store/partitions.ts";
import { waitForReplay } from "../../regions/store/replay.ts";
import { createLinkProxy } from "../../scripts/planet/link-proxy.ts";
import { startPostgres } from "../support/postgres.ts";
import { startRedis } from "../support/redis.ts";
import { makeFinalRun } from "./writes/make-final-run.ts";
import { copyAll, insertEach } from "./writes/store-rows.ts";

const RTT_MS = 5;
const RESULTS = 6000;
/** Fewer for what is slow: a result takes as long as any other there. */
const SINGLE_RESULTS = 100;
const ROUNDS = 3;

const say = (line: string) => process.stdout.write(`${line}\n`);
const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

/**
 * Results per second from the outbox into the tables: the whole batch writer, with Redis on disk before it and a replica
 * that has to replay behind it. Held against INSERTs of single rows and against COPY of the same rows, all over the same
 * link of 5 ms, into the same partitioned tables with their indexes.
 */
export async function benchWrites({ json }: { json: boolean }): Promise<void> {
  const [cluster, server] = await Promise.all([startPostgres({ replica: true }), startRedis()]);
  const redis = createRedis(server.url);
  const link = await createLinkProxy({
    name: "bench",
    target: { host: "127.0.0.1", port: cluster.primary.server.port },
    rttMs: RTT_MS,
  });
  const url = cluster.primary.url.replace(/:\d+\//, `:${link.port}/`);
  const database = createDatabase({ primaryUrl: url, replicaUrl: url, statementTimeoutMs: 60_000 });
  const random = seeded(1);
  const pool = database.primary;

  /** Results per second of one way to write, into empty tables; every result has to be there afterwards. */
  async function measure(
    count: number,
    way: (envelopes: readonly OutboxEnvelope[]) => Promise<void>,
    prepare?: (envelopes: readonly OutboxEnvelope[]) => Promise<void>,
  ): Promise<number> {
    const envelopes = Array.from({ length: count }, () => makeFinalRun(random, Date.now()));
    await pool`truncate jobs, results, usage_events`;
    await prepare?.(envelopes);
    const began = performance.now();
    await way(envelopes);
    const seconds = (performance.now() - began) / 1000;
    const [rows] = await pool`select (select count(*)::int from jobs) as jobs,
      (select count(*)::int from results) as results, (select count(*)::int from usage_events) as usage`;
    if (rows?.["jobs"] !== count || rows["results"] !== count || rows["usage"] !== 5 * count) {
      throw new Error(`${count} results were written, and ${JSON.stringify(rows)} are there`);
    }
    return count / seconds;
  }

  async function drain(): Promise<void> {
    const stop = new AbortController();
    const target = {
      write: createFinalJobs(database).write,
      waitForReplay: (at: WalPosition, signal: AbortSignal) =>
        waitForReplay(pool, at, { signal, timeoutMs: 60_000 }),
    };
    const logger = pino({ level: "warn" });
    const writer = createBatchWriter({ redis, target, logger, metrics: createMetrics() });
    const running = writer.run(stop.signal);
    try {
      while ((await redis.xlen(resultKeys.outbox)) > 0) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    } finally {
      stop.abort();
      await running;
    }
  }

  try {
    await new Promise((resolve) => redis.once("ready", resolve));
    await migrate(pool);
    await ensurePartitions(pool, currentMonths(Date.now()));
    const [ours, copies, singles]: [number[], number[], number[]] = [[], [], []];
    // The first round warms caches, files and the compiler.
    for (let round = 0; round <= ROUNDS; round += 1) {
      const copy = await measure(RESULTS, (envelopes) => copyAll(pool, envelopes));
      const writer = await measure(RESULTS, drain, (envelopes) => fillOutbox(redis, envelopes));
      const single = await measure(SINGLE_RESULTS, (envelopes) => insertEach(pool, envelopes));
      if (!json) {
        const figures = [writer, copy, single].map((figure) => figure.toFixed(0).padStart(6));
        say(
          `${round === 0 ? "warm-up" : `round ${round}`}: writer ${figures[0]}, COPY ${figures[1]}, single INSERTs ${figures[2]} results/s`,
        );
      }
      if (round === 0) continue;
      ours.push(writer);
      copies.push(copy);
      singles.push(single);
    }
    report({ ours: median(ours), copy: median(copies), single: median(singles) }, json);
  } finally {
    await database.close();
    redis.disconnect();
    await Promise.all([link.close(), server.close(), cluster.close()]);
  }
}

function report(figures: { ours: number; copy: number; single: number }, json: boolean): void {
  const { ours, copy, single } = figures;
  if (!json) {
    const bytes = JSON.stringify(makeFinalRun(seeded(1), Date.now())).length;
    say(
      `\nA result is 7 rows (job, result with 88 features, 5 of usage), ${bytes} bytes in the outbox.`,
    );
    say("The writer reads it from Redis, checks it, writes it, waits for a replica, and trims.");
  }
  const round = (value: number) => Math.round(value * 100) / 100;
  say(
    JSON.stringify({
      bench: "writes",
      unit: "results/s",
      ours: Math.round(ours),
      reference: {
        name: `one INSERT a table for each result (3 statements), one after another, over a link of ${RTT_MS} ms`,
        value: round(single),
      },
      limit: { name: "COPY of the same rows into the same tables", value: Math.round(copy) },
      ratio_to_reference: round(ours / single),
      ratio_to_limit: round(ours / copy),
    }),
  );
}

async function fillOutbox(redis: Redis, envelopes: readonly OutboxEnvelope[]): Promise<void> {
  for (let at = 0; at < envelopes.length; at += 200) {
    const pipeline = redis.pipeline();
    for (const envelope of envelopes.slice(at, at + 200)) {
      pipeline.xadd(resultKeys.outbox, "*", "envelope", JSON.stringify(envelope));
    }
    await pipeline.exec();
  }
}

/** Mulberry32: the same figures in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
