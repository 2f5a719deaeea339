import fc from "fast-check";
import { expect, test } from "vitest";
import {
  takeTokens,
  tokensLeft,
  waitForToken,
  type Quota,
} from "../../shared/policies/token-bucket.ts";

const quotas: fc.Arbitrary<Quota> = fc.record({
  limit: fc.integer({ min: 1, max: 5_000 }),
  windowMs: fc.constantFrom(1_000, 60_000),
});
/** Pauses between takers, and how many tokens each wants. */
const takers = fc.array(
  fc.record({
    pauseMs: fc.integer({ min: 0, max: 5_000 }),
    wanted: fc.integer({ min: 1, max: 50 }),
  }),
  { minLength: 1, maxLength: 60 },
);

test("however it is asked, a bucket gives no more than it holds and what came back since", () => {
  fc.assert(
    fc.property(quotas, takers, (quota, all) => {
      let now = 1_000_000;
      const begun = now;
      let fullAt = 0;
      let given = 0;
      for (const { pauseMs, wanted } of all) {
        now += pauseMs;
        const count = Math.min(wanted, tokensLeft(quota, fullAt, now));
        expect(count).toBeGreaterThanOrEqual(0);
        fullAt = takeTokens(quota, fullAt, now, count);
        given += count;
        const cameBack = ((now - begun) * quota.limit) / quota.windowMs;
        expect(given).toBeLessThanOrEqual(quota.limit + cameBack + 0.01);
      }
    }),
  );
});

test("who waits as long as he was told gets a token, and a moment before there is none", () => {
  fc.assert(
    fc.property(quotas, fc.integer({ min: 0, max: 10_000 }), (quota, pauseMs) => {
      let now = 1_000_000;
      let fullAt = takeTokens(quota, 0, now, quota.limit);
      now += pauseMs % quota.windowMs;
      fullAt = takeTokens(quota, fullAt, now, tokensLeft(quota, fullAt, now));
      const wait = waitForToken(quota, fullAt, now);
      expect(wait).toBeGreaterThan(0);
      expect(wait).toBeLessThanOrEqual((quota.windowMs / quota.limit) * 1.000001);
      expect(tokensLeft(quota, fullAt, now + wait)).toBe(1);
      expect(tokensLeft(quota, fullAt, now + wait * 0.99)).toBe(0);
    }),
  );
});

test("a full bucket holds its limit, tokens put back are there again, and never more than fit in", () => {
  const quota = { limit: 10, windowMs: 1_000 };
  expect(tokensLeft(quota, 0, 5_000)).toBe(10);
  const taken = takeTokens(quota, 0, 5_000, 10);
  expect(tokensLeft(quota, taken, 5_000)).toBe(0);
  expect(tokensLeft(quota, takeTokens(quota, taken, 5_000, -4), 5_000)).toBe(4);
  expect(tokensLeft(quota, takeTokens(quota, taken, 5_000, -40), 5_000)).toBe(10);
  expect(tokensLeft(quota, taken, 60_000)).toBe(10);
});
