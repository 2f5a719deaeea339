import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { OutboxEntry } from "../../../shared/contracts/completion.ts";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import { createBatchWriter, type FinalJobsTarget } from "../../../regions/results/batch-writer.ts";
import { consumeStream } from "../../../regions/results/stream-consumer.ts";
import { createRedis, type Redis } from "../../../regions/results/redis.ts";
import { startRedis, untilReady, type TestRedis } from "../../support/redis.ts";
import { succeeded } from "../../../regions/queue/completion.ts";
import type { AnalysisResult } from "../../../shared/contracts/analysis-result.ts";
import { jobSpec } from "../../contract/queue-bench.ts";
import { makeRun } from "./make-run.ts";

const outbox = "{antiphon}:outbox";

const idOf = (entry: OutboxEntry) => (entry.type === "usage" ? entry.id : entry.job.id);

let server: TestRedis;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  redis = createRedis(server.url);
  await untilReady(redis);
}, 30_000);
afterAll(async () => {
  redis?.disconnect();
  await server?.close();
});

test("results that are too much for one document, as after a long outage, are written in several, and in order", async () => {
  const limit = 100_000;
  const written: string[] = [];
  const target: FinalJobsTarget = {
    async write(envelopes) {
      // As Postgres does with a jsonb that is too large: an error of the statement, and of no row.
      if (envelopes.length > 1 && JSON.stringify(envelopes).length > limit)
        throw new Error("54000");
      written.push(...envelopes.map(idOf));
      return { at: { timeline: 1, lsn: "0/0" }, refused: [] };
    },
    waitForReplay: async () => undefined,
  };
  const sizes = [150_000, 60_000, 60_000, 10, 10, 99_000, 150_000, 10];
  const runs = sizes.map((size) => makeRun({ marker: "x".repeat(size / 2) }));
  for (const { envelope } of runs) {
    await redis.xadd(outbox, "*", "envelope", JSON.stringify(envelope));
  }
  const stop = new AbortController();
  const writing = createBatchWriter({
    redis,
    target,
    logger: pino({ level: "silent" }),
    metrics: createMetrics(),
    maxWriteBytes: limit - 1000,
    stream: { blockMs: 100, backoff: { minMs: 10, maxMs: 50 } },
  }).run(stop.signal);
  try {
    await expect.poll(() => redis.xlen(outbox)).toBe(0);
    expect(written).toEqual(runs.map(({ offer }) => offer.job_id));
  } finally {
    stop.abort();
    await writing;
  }
});

/** Runs a writer over the outbox until it is empty. */
async function drain(target: FinalJobsTarget, more: object = {}): Promise<void> {
  const stop = new AbortController();
  const writing = createBatchWriter({
    redis,
    target,
    logger: pino({ level: "silent" }),
    metrics: createMetrics(),
    stream: { blockMs: 100, backoff: { minMs: 10, maxMs: 50 } },
    ...more,
  }).run(stop.signal);
  try {
    await expect.poll(() => redis.xlen(outbox)).toBe(0);
  } finally {
    stop.abort();
    await writing;
  }
}

const put = async (runs: readonly ReturnType<typeof makeRun>[]) => {
  for (const { envelope } of runs) {
    await redis.xadd(outbox, "*", "envelope", JSON.stringify(envelope));
  }
};

test("statements are under way together, and when one fails only its own entries are written again", async () => {
  const runs = Array.from({ length: 30 }, () => makeRun());
  await put(runs);
  const times = new Map(runs.map(({ offer }) => [offer.job_id, 0]));
  const bad = runs[12]!.offer.job_id;
  let failed: string[] = [];
  let under = 0;
  let together = 0;
  await drain(
    {
      async write(envelopes) {
        under += 1;
        together = Math.max(together, under);
        await new Promise((resolve) => setImmediate(resolve));
        under -= 1;
        const ids = envelopes.map(idOf);
        expect(ids.length).toBeLessThanOrEqual(5);
        for (const id of ids) times.set(id, times.get(id)! + 1);
        if (ids.includes(bad) && times.get(bad)! < 3) {
          failed = ids;
          throw new Error("away");
        }
        return { at: { timeline: 1, lsn: "0/0" }, refused: [] };
      },
      waitForReplay: async () => undefined,
    },
    { batchSize: 5, concurrency: 3 },
  );
  expect(together).toBeGreaterThan(1);
  expect(together).toBeLessThanOrEqual(3);
  const often = [...times].flatMap(([id, count]) => (count === 1 ? [] : [id]));
  expect(often.toSorted()).toEqual(failed.toSorted());
  expect(times.get(bad)).toBe(3);
});

test("a run's result comes along up to 32 KiB, and is told of by its key beyond", () => {
  const ends = { startedAtMs: 0, finishedAtMs: 1, cost: { usd: 0, stages: [] } };
  const run = { spec: jobSpec(), epoch: { dispatch: 1, attempt: 1 }, region: "us-east", ...ends };
  const of = (note: string) => {
    const audio = { sha256: "a".repeat(64), bytes: 1, duration_s: 1 };
    const result = { audio, note } as unknown as AnalysisResult;
    return succeeded({ ...run, result, resultKey: "results/a", extension: "wav" });
  };
  expect(of("x".repeat(32_000)).envelope.result).toMatchObject({ audio: { bytes: 1 } });
  // Bytes count: each of these takes three.
  const { envelope, offer } = of("€".repeat(11_000));
  expect([envelope.result, envelope.job.result_key, offer.result_key]).toEqual([
    null,
    "results/a",
    "results/a",
  ]);
});

test("results that were too large to come along are read from the bucket, and share statements as far as they fit", async () => {
  const [small, gone, ...large] = Array.from({ length: 6 }, () => makeRun());
  for (const run of [gone!, ...large]) run.envelope.result = null;
  const bound = makeRun({ residency: "eu" });
  bound.envelope.result = null;
  await put([small!, gone!, bound, ...large]);
  const texts = new Map(
    large.map(({ envelope }, n) => [
      envelope.job.result_key!,
      JSON.stringify({ n, more: "x".repeat(4_000) }),
    ]),
  );
  let isAway = true;
  const asked = new Set<string>();
  const largeTogether: number[] = [];
  const results = new Map<string, unknown>();
  await drain(
    {
      async write(envelopes) {
        const isLarge = (each: OutboxEntry) => JSON.stringify(each).length > 4_000;
        largeTogether.push(envelopes.filter(isLarge).length);
        for (const each of envelopes) {
          if (each.type === "job.final") results.set(each.job.id, each.result);
        }
        return { at: { timeline: 1, lsn: "0/0" }, refused: [] };
      },
      waitForReplay: async () => undefined,
    },
    {
      maxWriteBytes: 10_000,
      batchSize: 100,
      concurrency: 1,
      readResult: async (key: string) => {
        asked.add(key);
        if (isAway && asked.size === 2) {
          isAway = false;
          throw new Error("the bucket is away");
        }
        return texts.get(key);
      },
    },
  );
  const of = ({ offer }: ReturnType<typeof makeRun>) => results.get(offer.job_id);
  expect(of(small!)).toMatchObject({ note: "content" });
  expect([of(gone!), of(bound)]).toEqual([null, null]);
  expect(large.map(of)).toMatchObject([{ n: 0 }, { n: 1 }, { n: 2 }, { n: 3 }]);
  // Of a bound tenant nothing is read that must not get into the database.
  expect([...asked].filter((key) => key.includes("/eu/"))).toEqual([]);
  // Four kilobytes each: two by two.
  expect(Math.max(...largeTogether)).toBe(2);
});

/**
 * Sizes of the batches that a reader is given until it has had so many entries. What a dead one has had for `claimAfterMs` it takes over, and
 * looks for that now and then.
 */
async function readAll(
  of: Redis,
  stream: string,
  count: number,
  claimAfterMs: number,
): Promise<number[][]> {
  const batches: number[][] = [];
  const stop = new AbortController();
  await consumeStream(
    {
      redis: of,
      stream,
      group: "readers",
      batchSize: 200,
      maxBatchBytes: 100_000,
      logger: pino({ level: "silent" }),
      blockMs: 100,
      youngClaimAfterMs: claimAfterMs,
      claimAfterMs: 60_000,
      async handle(entries) {
        batches.push(entries.map(({ fields }) => fields["text"]!.length));
        await of
          .multi()
          .xack(stream, "readers", ...entries.map(({ id }) => id))
          .xdel(stream, ...entries.map(({ id }) => id))
          .exec();
        if (batches.flat().length >= count) stop.abort();
      },
    },
    stop.signal,
  );
  return batches;
}

test("what is read at once is bounded by its bytes from the first batch on, also where large entries follow small ones", async () => {
  const stream = "{antiphon}:sizes";
  const many = (count: number, size: number) => Array.from({ length: count }, () => size);
  // The last of a batch may go beyond, whatever its size.
  const sizes = [...many(450, 10), 500_000, ...many(20, 40_000), ...many(5, 10)];
  for (const size of sizes) await redis.xadd(stream, "*", "text", "x".repeat(size));
  const steps = async () =>
    [...(await redis.info("commandstats")).matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)]
      .map(([, calls]) => Number(calls))
      .reduce((sum, calls) => sum + calls, 0);
  const before = await steps();
  // It looks for what a dead reader had at its start, and then not for long.
  const batches = await readAll(redis, stream, sizes.length, 60_000);
  expect(batches.flat()).toEqual(sizes);
  // Each step is a write to the disk: one for each batch, besides those that look for what a dead reader had.
  expect((await steps()) - before).toBeLessThanOrEqual(batches.length + 3);
  expect(batches.slice(0, 2).map((batch) => batch.length)).toEqual([200, 200]);
  for (const batch of batches) {
    expect(batch.slice(0, -1).reduce((sum, size) => sum + size, 0)).toBeLessThan(100_000);
  }
  // No less than fits.
  expect(batches).toHaveLength(2 + 1 + 7);
});

test("what a dead reader had is taken over within the same bounds, on a cluster too, and what was removed since is passed over", async () => {
  const cluster = await startRedis({ cluster: true });
  const client = createRedis(cluster.url);
  try {
    await untilReady(client);
    const stream = "{antiphon}:left";
    const sizes = Array.from({ length: 60 }, (_, n) => (n < 40 ? 10 : 40_000));
    for (const size of sizes) await client.xadd(stream, "*", "text", "x".repeat(size));
    await client.xgroup("CREATE", stream, "readers", "0");
    await client.xreadgroup("GROUP", "readers", "dead", "COUNT", 200, "STREAMS", stream, ">");
    const first = await client.xrange(stream, "-", "+", "COUNT", 5);
    await client.xdel(stream, ...first.map(([id]) => id));
    const batches = await readAll(client, stream, 55, 0);
    expect(batches.flat()).toEqual(sizes.slice(5));
    expect(batches.slice(1).map((batch) => batch.length)).toEqual([3, 3, 3, 3, 3, 2]);
    expect((await client.xpending(stream, "readers"))[0]).toBe(0);
  } finally {
    client.disconnect();
    await cluster.close();
  }
});

test("a reader waits in Redis for what comes next, also while what it had before lies there undecided", async () => {
  const stream = "{antiphon}:undecided";
  const had: string[] = [];
  const stop = new AbortController();
  const reading = consumeStream(
    {
      redis,
      stream,
      group: "readers",
      batchSize: 10,
      maxBatchBytes: 1000,
      logger: pino({ level: "silent" }),
      blockMs: 60_000,
      youngClaimAfterMs: 60_000,
      claimAfterMs: 60_000,
      handle: async (entries) => void had.push(...entries.map(({ fields }) => fields["text"]!)),
    },
    stop.signal,
  );
  const waits = async () => /flags=b .*cmd=xread /.test((await redis.client("LIST")) as string);
  try {
    for (const text of ["a", "b"]) await redis.xadd(stream, "*", "text", text);
    await expect.poll(() => had).toEqual(["a", "b"]);
    await expect.poll(waits).toBe(true);
    await redis.xadd(stream, "*", "text", "c");
    await expect.poll(() => had).toEqual(["a", "b", "c"]);
  } finally {
    stop.abort();
    await reading;
  }
});
