import { afterAll, beforeAll, expect, test } from "vitest";
import type { AnalysisResult } from "../../../shared/contracts/analysis-result.ts";
import { createRedis, type Redis } from "../../../regions/results/redis.ts";
import { createResultCache } from "../../../regions/results/result-cache.ts";
import { startRedis, untilReady, type TestRedis } from "../../support/redis.ts";
import { newJobId } from "./make-run.ts";

let server: TestRedis;
let redis: Redis;
const reads: string[] = [];
const bucket = new Map<string, string>();
const readObject = async (key: string) => {
  reads.push(key);
  return bucket.get(key);
};

beforeAll(async () => {
  server = await startRedis();
  redis = createRedis(server.url);
  await untilReady(redis);
}, 30_000);
afterAll(async () => {
  redis?.disconnect();
  await server?.close();
});

function makeResult(attempt: number): AnalysisResult {
  const level = {
    rms_dbfs: -20,
    peak_dbfs: -3,
    silent: false,
    clipping: { clipped_samples: 0, clipped_ratio: 0, longest_run: 0 },
  };
  const file = {
    sha256: "a".repeat(64),
    bytes: 9,
    duration_s: 1,
    sample_rate_hz: 8000,
    channels: 1,
  };
  return {
    audio: { ...file, codec: "pcm", container: "wav", level },
    engines: {},
    cache: {},
    timings_ms: {},
    cost: { usd: 0, stages: [] },
    epoch: { dispatch: 1, attempt },
    region: "us-east",
  };
}

test("a result is read from the bucket once, and then from Redis", async () => {
  const cache = createResultCache({ redis, readObject });
  const job_id = newJobId();
  const result_key = `results/eu/ten_a/${job_id}/1-1.json`;
  bucket.set(result_key, JSON.stringify(makeResult(1)));
  const which = { job_id, tenant_id: "ten_a", result_key };
  expect(await cache.read(which)).toEqual({ result: makeResult(1), from: "s3" });
  expect(await cache.read(which)).toEqual({ result: makeResult(1), from: "redis" });
  expect(reads).toEqual([result_key]);
});

test("what is kept in Redis takes a bounded room for a bounded time", async () => {
  const cache = createResultCache({ redis, readObject });
  const [small, large] = [newJobId(), newJobId()];
  await cache.write(small, "x".repeat(256 * 1024));
  await cache.write(large, "x".repeat(256 * 1024 + 1));
  expect(await redis.exists(`antiphon:result:${large}`)).toBe(0);
  const left = await redis.ttl(`antiphon:result:${small}`);
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThanOrEqual(600);
});

test("the cached result of another run than the accepted one is not given out", async () => {
  const cache = createResultCache({ redis, readObject });
  const job_id = newJobId();
  await cache.write(job_id, JSON.stringify(makeResult(1)));
  const result_key = `results/global/ten_a/${job_id}/1-2.json`;
  bucket.set(result_key, JSON.stringify(makeResult(2)));
  const found = await cache.read({ job_id, tenant_id: "ten_a", result_key });
  expect(found).toEqual({ result: makeResult(2), from: "s3" });
});

test("a result is read from Redis, then the database, then the bucket; a damaged copy is passed over", async () => {
  const rows = new Map<string, unknown>();
  const cache = createResultCache({ redis, readObject, readRow: async (id) => rows.get(id) });
  const job_id = newJobId();
  const result_key = `results/global/ten_a/${job_id}/1-1.json`;
  const which = { job_id, tenant_id: "ten_a", result_key };
  const key = `antiphon:result:${job_id}`;
  const [good, damaged] = [makeResult(1), { ...makeResult(1), audio: null }];
  bucket.set(result_key, JSON.stringify(good));
  rows.set(job_id, good);
  expect(await cache.read(which)).toEqual({ result: good, from: "postgres" });
  expect(await cache.read(which)).toEqual({ result: good, from: "redis" });
  for (const broken of ["{", JSON.stringify(damaged), JSON.stringify(makeResult(2))]) {
    await redis.set(key, broken);
    expect(await cache.read(which)).toEqual({ result: good, from: "postgres" });
  }
  for (const row of [damaged, makeResult(2), undefined]) {
    await redis.set(key, "{");
    rows.set(job_id, row);
    expect(await cache.read(which)).toEqual({ result: good, from: "s3" });
  }
  await redis.set(key, "{");
  bucket.set(result_key, "{");
  expect(await cache.read(which)).toBeUndefined();
});

test("a database that is away, or hangs, costs only time; a bound tenant's is not asked", async () => {
  const asked: string[] = [];
  const job_id = newJobId();
  const read = (residency: string, readRow: () => Promise<unknown>) => {
    const result_key = `results/${residency}/ten_a/${job_id}/1-1.json`;
    bucket.set(result_key, JSON.stringify(makeResult(1)));
    const cache = createResultCache({
      redis,
      readObject,
      readRow: (id) => {
        asked.push(id);
        return readRow();
      },
    });
    return cache.read({ job_id, tenant_id: "ten_a", result_key });
  };
  const forget = () => redis.del(`antiphon:result:${job_id}`);
  expect(await read("eu", async () => makeResult(1))).toMatchObject({ from: "s3" });
  expect(asked).toEqual([]);
  for (const away of [
    () => Promise.reject(new Error("away")),
    () => new Promise(() => undefined),
  ]) {
    await forget();
    expect(await read("global", away)).toMatchObject({ from: "s3" });
  }
  expect(asked).toHaveLength(2);
});

test("a key of another tenant's or another job's result is never followed", async () => {
  const cache = createResultCache({ redis, readObject });
  const [job_id, other] = [newJobId(), newJobId()];
  const before = reads.length;
  const keys = [
    `results/eu/ten_b/${job_id}/1-1.json`,
    `results/eu/ten_a/${other}/1-1.json`,
    `uploads/eu/ten_a/${job_id}`,
    `results/eu/ten_a/../ten_b/${job_id}/1-1.json`,
  ];
  for (const result_key of keys) {
    expect(await cache.read({ job_id, tenant_id: "ten_a", result_key })).toBeUndefined();
  }
  expect(reads).toHaveLength(before);
});

test("without Redis results still come, from the bucket", async () => {
  const cache = createResultCache({ redis, readObject });
  const job_id = newJobId();
  const result_key = `results/eu/ten_a/${job_id}/1-1.json`;
  bucket.set(result_key, JSON.stringify(makeResult(1)));
  await server.stop();
  expect(await cache.read({ job_id, tenant_id: "ten_a", result_key })).toMatchObject({
    from: "s3",
  });
});
