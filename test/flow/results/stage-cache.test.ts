import { Redis } from "ioredis";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Stages } from "../../../shared/contracts/stages.ts";
import { createMetrics } from "../../../regions/ops/metrics.ts";
import { createRedis } from "../../../regions/results/redis.ts";
import { createStageCache } from "../../../regions/results/stage-cache.ts";
import type { StageCacheOptions } from "../../../regions/results/stage-cache.ts";
import { stageKeys, type Recording } from "../../../regions/results/stage-keys.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";

const DAY_MS = 86_400_000;
const silent = pino({ level: "silent" });
const engine = { name: "engine", version: "1", model_sha256: null };

let server: TestRedis;
let redis: Redis;
/** The bucket: what is in it, and whether it is away. */
const objects = new Map<string, string>();
let bucketIsAway = false;
let now = 0;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url, { retryStrategy: () => 20 });
  redis.on("error", () => undefined);
}, 30_000);
afterAll(async () => {
  redis.disconnect();
  await server.close();
});
beforeEach(async () => {
  await redis.flushall();
  objects.clear();
  bucketIsAway = false;
  now = Date.now();
});

const metrics = () => createMetrics();
const open = (changes: Partial<StageCacheOptions> = {}) =>
  createStageCache({
    redis,
    readObject: async (key, maxBytes) => {
      if (bucketIsAway) throw new Error("the bucket is away");
      const text = objects.get(key);
      if (text !== undefined && text.length > maxBytes) throw new RangeError("too large");
      return text;
    },
    writeObject: async (key, text) => {
      if (bucketIsAway) throw new Error("the bucket is away");
      objects.set(key, text);
    },
    logger: silent,
    metrics: metrics(),
    now: () => now,
    ...changes,
  });

const recording = (n = 0, tenantId = "ten_demo"): Recording => ({
  owner: { residency: "global", tenantId },
  sha256: String(n).padStart(64, "0"),
});

/** A transcript of so many characters, and where speech is. */
const made = (characters = 10): Stages => ({
  transcript: {
    engines: { transcribe: engine },
    value: { text: "a".repeat(characters), language: "en", quality: "full", segments: [] },
  },
  voice_activity: {
    engines: { voice_activity: engine },
    value: { speech_ratio: 0.1, segments: [{ start_s: 0.030_000_000_000_000_002, end_s: 1 }] },
  },
});
const identities = { transcript: "whisper", voice_activity: "silero" };

describe("what stages gave", () => {
  test("comes back to the last digit, and only for what it was made with", async () => {
    const cache = open();
    await cache.keep(recording(), identities, made());
    expect(await cache.find(recording(), identities)).toEqual(made());
    const { transcript } = made();
    expect(await cache.find(recording(), { transcript: "whisper" })).toEqual({ transcript });
    const newer = { transcript: "a newer whisper", voice_activity: "silero" };
    const { voice_activity } = made();
    expect(await cache.find(recording(), newer)).toEqual({ voice_activity });
  });

  test("is one tenant's, under one residency, for one recording", async () => {
    const cache = open();
    await cache.keep(recording(), identities, made());
    expect(await cache.find(recording(1), identities)).toEqual({});
    expect(await cache.find(recording(0, "ten_other"), identities)).toEqual({});
    const { sha256, owner } = recording();
    const bound: Recording = { sha256, owner: { ...owner, residency: "eu" } };
    expect(await cache.find(bound, identities)).toEqual({});
  });

  test("that nobody named an identity for is not kept", async () => {
    const cache = open();
    await cache.keep(recording(), { transcript: "whisper" }, made());
    expect(await cache.find(recording(), identities)).not.toHaveProperty("voice_activity");
  });

  test("lives for a week where it was measured, for thirty days where it was predicted", async () => {
    const cache = open();
    await cache.keep(recording(), identities, made());
    now += 7 * DAY_MS - 1;
    expect(Object.keys(await cache.find(recording(), identities))).toHaveLength(2);
    now += 1;
    expect(Object.keys(await cache.find(recording(), identities))).toEqual(["transcript"]);
    now += 23 * DAY_MS;
    expect(await cache.find(recording(), identities)).toEqual({});
    // Redis lets go of it by itself, too.
    for (const days of [7, 30]) {
      const left = await redis.pttl(stageKeys.recording(recording(), days));
      expect(left).toBeGreaterThan((days - 1) * DAY_MS);
      expect(left).toBeLessThanOrEqual(days * DAY_MS);
    }
  });

  test("is all found from tenant and hash, to be deleted", async () => {
    const cache = open({ maxInlineBytes: 400 });
    await cache.keep(recording(), identities, made(1000));
    const inRedis = await redis.keys(`*:ten_demo:${recording().sha256}*`);
    for (const days of [7, 30]) {
      expect(inRedis).toContain(stageKeys.recording(recording(), days));
    }
    expect(inRedis).toHaveLength(2);
    expect([...objects.keys()]).toEqual([
      expect.stringMatching(
        new RegExp(`^stages/30d/global/ten_demo/${recording().sha256}/transcript-`),
      ),
    ]);
    await redis.del(...inRedis);
    expect(await cache.find(recording(), identities)).toEqual({});
  });
});

describe("a large outcome", () => {
  test("lies in the bucket, with Redis knowing where", async () => {
    const cache = open({ maxInlineBytes: 400 });
    await cache.keep(recording(), identities, made(1000));
    expect(await cache.find(recording(), identities)).toEqual(made(1000));
    expect(await redis.memory("USAGE", stageKeys.recording(recording(), 30))).toBeLessThan(1000);
    objects.clear();
    expect(Object.keys(await cache.find(recording(), identities))).toEqual(["voice_activity"]);
  });

  test("is passed over by who has no time for it, wherever it lies", async () => {
    for (const maxInlineBytes of [400, 100_000]) {
      const cache = open({ maxInlineBytes });
      await cache.keep(recording(), identities, made(1000));
      const found = await cache.find(recording(), identities, { maxBytes: 500 });
      expect(Object.keys(found)).toEqual(["voice_activity"]);
    }
  });
});

describe("room in Redis", () => {
  const held = async () => Number(await redis.get(stageKeys.total));

  test("is bounded: what would end next makes way", async () => {
    const cache = open({ maxTotalBytes: 20_000 });
    for (let n = 0; n < 20; n += 1) {
      now += 1;
      await cache.keep(recording(n), { transcript: "whisper" }, made(2000));
      expect(await held()).toBeLessThanOrEqual(20_000);
    }
    const known = await Promise.all(
      Array.from({ length: 20 }, async (_, n) => {
        const found = await cache.find(recording(n), { transcript: "whisper" });
        return found.transcript !== undefined;
      }),
    );
    expect(known.lastIndexOf(false)).toBeLessThan(known.indexOf(true));
    expect(known.filter(Boolean).length).toBeGreaterThan(5);
    expect(await redis.keys("*ten_demo*")).toHaveLength(known.filter(Boolean).length);
  });

  test("is given back by what has ended, however Redis let go of it", async () => {
    const cache = open();
    await cache.keep(recording(1), identities, made());
    await cache.keep(recording(2), { transcript: "whisper" }, made(5000));
    const two = await held();
    // As if Redis had expired it before any of ours looked.
    await redis.del(stageKeys.recording(recording(2), 30));
    await cache.keep(recording(2), { transcript: "whisper" }, made(5000));
    expect(await held()).toBe(two);
    now += 31 * DAY_MS;
    await cache.keep(recording(3), { transcript: "whisper" }, made());
    expect(await redis.zcard(stageKeys.index)).toBe(1);
    expect(await redis.hlen(stageKeys.sizes)).toBe(1);
    expect(await held()).toBeLessThan(1000);
  });

  test("is not taken twice by who keeps the same again", async () => {
    const cache = open();
    await Promise.all([1, 2, 3].map(() => cache.keep(recording(), identities, made())));
    const once = await held();
    await cache.keep(recording(), identities, made());
    expect(await held()).toBe(once);
  });
});

describe("a cache that cannot be used knows nothing, and is no error", () => {
  test("while Redis is away", async () => {
    const lost = createRedis("redis://127.0.0.1:1");
    const cache = open({ redis: lost });
    await cache.keep(recording(), identities, made());
    expect(await cache.find(recording(), identities)).toEqual({});
    lost.disconnect();
  });

  test("while Redis is full", async () => {
    const cache = open();
    await cache.keep(recording(1), identities, made());
    await redis.config("SET", "maxmemory", "1");
    try {
      await cache.keep(recording(2), identities, made());
      expect(await cache.find(recording(2), identities)).toEqual({});
      expect(await cache.find(recording(1), identities)).toEqual(made());
    } finally {
      await redis.config("SET", "maxmemory", "0");
    }
  });

  test("while the bucket is away: the small is still known", async () => {
    const cache = open({ maxInlineBytes: 400 });
    await cache.keep(recording(), identities, made(1000));
    bucketIsAway = true;
    expect(Object.keys(await cache.find(recording(), identities))).toEqual(["voice_activity"]);
    await cache.keep(recording(2), identities, made(1000));
    expect(await cache.find(recording(2), { transcript: "whisper" })).toEqual({});
  });

  test("where an entry is damaged, or of another version", async () => {
    const cache = open();
    await cache.keep(recording(), identities, made());
    const key = stageKeys.recording(recording(), 30);
    const [field] = await redis.hkeys(key);
    for (const text of ["{", '{"v":2}', '{"ends_at":9e15,"made":{"engines":{},"value":{}}}']) {
      await redis.hset(key, field!, text);
      expect(Object.keys(await cache.find(recording(), identities))).toEqual(["voice_activity"]);
    }
  });

  test("for who cannot wait", async () => {
    const cache = open();
    await cache.keep(recording(), identities, made());
    const signal = AbortSignal.abort(new Error("no time"));
    expect(await cache.find(recording(), identities, { signal })).toEqual({});
  });
});

test("hits and misses are counted by stage", async () => {
  const registry = createMetrics();
  const cache = open({ metrics: registry });
  await cache.keep(recording(), { transcript: "whisper" }, made());
  await cache.find(recording(), identities);
  await cache.find(recording(), identities);
  const text = await registry.render();
  expect(text).toContain('antiphon_stage_cache_total{stage="transcript",outcome="hit"} 2');
  expect(text).toContain('antiphon_stage_cache_total{stage="voice_activity",outcome="miss"} 2');
});
