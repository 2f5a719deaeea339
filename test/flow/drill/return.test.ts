import { expect, test } from "vitest";
import { judgeReturn, tellReturn } from "../../../scripts/drill/judge-return.ts";
import type { Routed } from "../../../scripts/drill/watch-routing.ts";

const EVERY_MS = 100;
const BACK_MS = 41_000;
const FAULT = { faultMs: 10_000, healedMs: 40_000, untilMs: 90_000 };

/** Requests at an even pace, of which the region gets the share that `shareAt` says, spread evenly. */
function requests(shareAt: (ms: number) => number): Routed[] {
  let owed = 0;
  return Array.from({ length: FAULT.untilMs / EVERY_MS }, (_, index) => {
    const atMs = index * EVERY_MS;
    owed += shareAt(atMs);
    if (owed < 1) return { atMs, region: "eu-west" };
    owed -= 1;
    return { atMs, region: "us-east" };
  });
}
const away = ({ faultMs, healedMs }: typeof FAULT, ms: number) => ms >= faultMs && ms < healedMs;

test("a region that is given its requests step by step: how its share grew, and how long it took", () => {
  const share = (ms: number) => Math.min(1, Math.max(0.1, (ms - BACK_MS) / 30_000));
  const routed = requests((ms) => (ms < FAULT.faultMs ? 1 : ms < BACK_MS ? 0 : share(ms)));
  const it = judgeReturn(routed, "us-east", FAULT)!;
  expect(it.before).toBe(1);
  expect(it.steps[0]).toBeLessThan(0.2);
  expect(it.steps.slice(0, 6)).toEqual(it.steps.slice(0, 6).toSorted((a, b) => a - b));
  expect(it.slowStartS).toBeGreaterThan(20);
  expect(it.slowStartS).toBeLessThan(30);
  expect(tellReturn("us-east", it)).toMatch(/^of these clients' requests us-east took 1?\d %, /);
});

test("one that is back before it is given anything: from its return on", () => {
  const routed = requests((ms) => (ms < FAULT.faultMs ? 1 : ms < 55_000 ? 0 : 1));
  const it = judgeReturn(routed, "us-east", { ...FAULT, healthyMs: 45_000 })!;
  expect(it.steps.slice(0, 3)).toEqual([0, 0, 1]);
  expect(it.slowStartS).toBeCloseTo(10, 0);
});

test("one that gets all of them at once: no time at all", () => {
  const routed = requests((ms) => (away(FAULT, ms) ? 0 : 1));
  expect(judgeReturn(routed, "us-east", FAULT)).toMatchObject({ before: 1, slowStartS: 0 });
});

test("one that never has its share again, or none, is told as that", () => {
  const half = requests((ms) => (away(FAULT, ms) ? 0 : ms < FAULT.faultMs ? 1 : 0.5));
  expect(judgeReturn(half, "us-east", FAULT)).not.toHaveProperty("slowStartS");
  const never = judgeReturn(
    requests((ms) => (ms < FAULT.faultMs ? 1 : 0)),
    "us-east",
    FAULT,
  );
  expect(tellReturn("us-east", never)).toContain("no request again");
});

test("nothing is said of a region that had few requests before, or kept them", () => {
  expect(
    judgeReturn(
      requests((ms) => (away(FAULT, ms) ? 0 : 0.3)),
      "us-east",
      FAULT,
    ),
  ).toBe(undefined);
  expect(
    judgeReturn(
      requests(() => 1),
      "us-east",
      FAULT,
    ),
  ).toBe(undefined);
});
