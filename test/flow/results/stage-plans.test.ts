import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { AnalysisPart } from "../../../shared/contracts/job.ts";
import type { StagePlan } from "../../../shared/contracts/stages.ts";
import { createRedis, type Redis } from "../../../regions/results/redis.ts";
import { createStagePlans } from "../../../regions/results/stage-plans.ts";
import { startRedis, untilReady, type TestRedis } from "../../support/redis.ts";

let server: TestRedis;
let redis: Redis;
let now = Date.now();
beforeAll(async () => {
  server = await startRedis();
  redis = createRedis(server.url);
  await untilReady(redis);
}, 30_000);
afterAll(async () => {
  redis.disconnect();
  await server.close();
});
beforeEach(() => redis.flushall());

const plans = () => createStagePlans({ redis, now: () => now });
const age = { status: "unavailable" as const, reason: "none", install: "pull" };
const plan = (transcript: string): StagePlan => ({
  identities: { decode: "d", transcript, features: "f", voice_activity: "v" },
  unavailable: { age },
});
const parts: AnalysisPart[] = ["transcript", "features", "age"];

test("an API knows what workers would make a job's parts with, in whatever order they are asked for", async () => {
  await plans().publish({ parts }, plan("whisper"));
  const { decode, transcript, features } = plan("whisper").identities;
  const expected = { identities: { decode, transcript, features }, unavailable: { age } };
  expect(await plans().read({ parts: parts.toReversed() })).toEqual(expected);
  expect(await plans().read({ parts: ["features"] })).toEqual({
    identities: { decode, features },
    unavailable: {},
  });
});

test("a transcript in a language or by a model is made with something of its own", async () => {
  await plans().publish({ parts }, plan("whisper"));
  expect(await plans().read({ parts, language: "de" })).toBeUndefined();
  await plans().publish({ parts: ["transcript"], language: "de" }, plan("whisper, German"));
  const german = await plans().read({ parts, language: "de" });
  expect(german?.identities.transcript).toBe("whisper, German");
  expect((await plans().read({ parts }))?.identities.transcript).toBe("whisper");
  // What has no language is the same in all of them.
  expect(await plans().read({ parts: ["features"], language: "fr" })).toBeDefined();
});

test("the newest word counts, and none that is older than an hour, or says nothing of a part", async () => {
  await plans().publish({ parts }, plan("whisper"));
  await plans().publish({ parts }, plan("a newer whisper"));
  expect((await plans().read({ parts }))?.identities.transcript).toBe("a newer whisper");
  expect(await plans().read({ parts: [...parts, "sex"] })).toBeUndefined();
  now += 3_600_000;
  expect(await plans().read({ parts })).toBeUndefined();
  expect(await redis.pttl("{antiphon-stages}:plans")).toBeGreaterThan(0);
});
