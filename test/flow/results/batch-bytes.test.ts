import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import { createBatchWriter, type FinalJobsTarget } from "../../../regions/results/batch-writer.ts";
import { createRedis, type Redis } from "../../../regions/results/redis.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";
import { makeRun } from "./make-run.ts";

const outbox = "{antiphon}:outbox";

let server: TestRedis;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  redis = createRedis(server.url);
}, 30_000);
afterAll(async () => {
  redis?.disconnect();
  await server?.close();
});

test("results that are too much for one document, as after a long outage, are written in several, and in order", async () => {
  await expect.poll(() => redis.ping().catch(() => ""), { timeout: 5000 }).toBe("PONG");
  const limit = 100_000;
  const written: string[] = [];
  const target: FinalJobsTarget = {
    async write(envelopes) {
      // As Postgres does with a jsonb that is too large: an error of the statement, and of no row.
      if (envelopes.length > 1 && JSON.stringify(envelopes).length > limit)
        throw new Error("54000");
      written.push(...envelopes.map(({ job }) => job.id));
      return { lsn: "0/0", refused: [] };
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
    await expect.poll(() => redis.xlen(outbox), { timeout: 5000 }).toBe(0);
    expect(written).toEqual(runs.map(({ offer }) => offer.job_id));
  } finally {
    stop.abort();
    await writing;
  }
});
