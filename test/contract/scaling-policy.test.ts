import fc from "fast-check";
import { expect, test } from "vitest";
import type { ScalingRules, ScalingSignal, ScalingState } from "../../shared/policies/scale.ts";
import { batchPool, jobPool, scalePool, streamPool } from "../../shared/policies/scale.ts";

const NOW = 10_000_000;
/** Busy, but not so much that the target asks for more or less. */
const even = 0.7;
function scale(
  rules: ScalingRules,
  given: Partial<ScalingSignal> & { workers: number },
  state: ScalingState = {},
) {
  const signal = { nowMs: NOW, ready: given.workers, waiting: 0, running: 0, utilization: even };
  return scalePool(rules, { ...signal, ...given }, state);
}

test.each([
  [49, 10],
  [50, 11],
  [99, 11],
  [100, 13],
  [499, 13],
  [500, 20],
  [10_000, 20],
])("with %i jobs waiting, ten workers become %i", (waiting, workers) => {
  expect(scale(jobPool, { workers: 10, waiting }).workers).toBe(workers);
});

test("a pool of jobs has 5 workers at least and 50 at most", () => {
  expect(scale(jobPool, { workers: 0 }).workers).toBe(5);
  expect(scale(jobPool, { workers: 5, utilization: 0 }).workers).toBe(5);
  expect(scale(jobPool, { workers: 48, waiting: 5000 }).workers).toBe(50);
  expect(scale(jobPool, { workers: 60 }).workers).toBe(50);
});

test("it goes by what waits: jobs that are at work, however many, add no step", () => {
  expect(scale(jobPool, { workers: 10, running: 10_000 }).workers).toBe(10);
  expect(scale(jobPool, { workers: 10, running: 0, waiting: 500 }).workers).toBe(20);
});

test("growth waits 60 s after growth", () => {
  const grown = scale(jobPool, { workers: 10, waiting: 100 });
  const again = (afterMs: number) =>
    scale(jobPool, { workers: 13, waiting: 100, nowMs: NOW + afterMs }, grown.state);
  expect(again(59_999)).toMatchObject({ workers: 13, why: "cooldown" });
  expect(again(60_000)).toMatchObject({ workers: 16, why: "backlog" });
});

test("shrinking waits 300 s after any change, and shrinking itself never holds up growth", () => {
  const grown = scale(jobPool, { workers: 10, waiting: 100 });
  const quiet = (afterMs: number) =>
    scale(jobPool, { workers: 13, utilization: 0.2, nowMs: NOW + afterMs }, grown.state);
  expect(quiet(299_999)).toMatchObject({ workers: 13, why: "cooldown" });
  const shrunk = quiet(300_000);
  expect(shrunk).toMatchObject({ workers: 5, why: "target" });
  const next = { workers: 5, nowMs: NOW + 300_001 };
  expect(scale(jobPool, { ...next, waiting: 50 }, shrunk.state).workers).toBe(6);
  expect(scale(jobPool, { ...next, workers: 6, utilization: 0 }, shrunk.state).workers).toBe(6);
});

test("target tracking brings use to 70 %, and leaves it be when it is near", () => {
  expect(scale(jobPool, { workers: 10, utilization: 1 }).workers).toBe(15);
  expect(scale(jobPool, { workers: 14, utilization: 0.5 }).workers).toBe(10);
  for (const utilization of [0.64, 0.7]) {
    expect(scale(jobPool, { workers: 40, utilization }).workers).toBe(40);
  }
});

test("the greater wish counts: a step when it asks for more than the target, and the other way round", () => {
  expect(scale(jobPool, { workers: 10, waiting: 50, utilization: 1 }).workers).toBe(15);
  expect(scale(jobPool, { workers: 10, waiting: 500, utilization: 1 }).workers).toBe(20);
  expect(scale(jobPool, { workers: 10, waiting: 50, utilization: 0 }).workers).toBe(11);
});

test("what is on its way is not ordered twice, nor sent away before it came", () => {
  expect(scale(jobPool, { workers: 15, ready: 10, utilization: 1 }).workers).toBe(15);
  expect(scale(jobPool, { workers: 15, ready: 5, utilization: 0.3 }).workers).toBe(15);
});

test("one message wakes a pool at zero, at once and whatever was changed before", () => {
  const state = { lastOutMs: NOW - 1, lastChangeMs: NOW - 1 };
  const woken = scale(batchPool, { workers: 0, waiting: 1, utilization: 0 }, state);
  expect(woken).toMatchObject({ workers: 1, why: "wake" });
  expect(scale(batchPool, { workers: 0, waiting: 700, utilization: 0 }, state).workers).toBe(10);
});

test("a batch pool without work goes to zero and keeps one machine warm; a pool at zero stays there", () => {
  const asleep = scale(batchPool, { workers: 3, utilization: 0 });
  expect(asleep).toMatchObject({ workers: 0, onDemand: 0, spot: 0, warm: 1, why: "idle" });
  expect(scale(batchPool, { workers: 0, utilization: 0 })).toMatchObject({ workers: 0, warm: 1 });
});

test("a pool does not go to zero while a job runs or waits", () => {
  for (const work of [{ running: 1 }, { waiting: 1 }]) {
    expect(scale(batchPool, { workers: 3, utilization: 0, ...work }).workers).toBe(1);
  }
});

test("the first workers are on demand, the others spot", () => {
  expect(scale(jobPool, { workers: 20 })).toMatchObject({ onDemand: 5, spot: 15 });
  expect(scale(jobPool, { workers: 5 })).toMatchObject({ onDemand: 5, spot: 0 });
  const mixed = { ...jobPool, onDemandShare: 0.25 };
  expect(scale(mixed, { workers: 15 })).toMatchObject({ onDemand: 8, spot: 7 });
});

test("a pool of streams goes by its sessions: room for them at 70 %", () => {
  const sessions = (count: number, workers = 10, waiting = 0) =>
    scale(streamPool, { workers, sessions: count, waiting, utilization: 0 }).workers;
  expect(sessions(700)).toBe(10);
  expect(sessions(701)).toBe(11);
  expect(sessions(2000)).toBe(29);
  expect(sessions(1300, 20)).toBe(20);
  expect(sessions(300)).toBe(5);
  expect(sessions(0)).toBe(1);
  expect(sessions(690, 10, 20)).toBe(11);
  // Sessions stay where they are: none may be on a machine that can be taken away.
  expect(scale(streamPool, { workers: 8, sessions: 500 }).spot).toBe(0);
});

test("in whatever order signals come, bounds hold, parts add up, and cooldowns are kept", () => {
  const signal = fc.record({
    afterMs: fc.integer({ min: 0, max: 120_000 }),
    waiting: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 1000 })),
    running: fc.integer({ min: 0, max: 100 }),
    utilization: fc.double({ min: 0, max: 1, noNaN: true }),
    sessions: fc.integer({ min: 0, max: 10_000 }),
  });
  fc.assert(
    fc.property(
      fc.constantFrom(jobPool, batchPool, streamPool),
      fc.array(signal, { maxLength: 40 }),
      (rules, signals) => {
        let nowMs = NOW;
        let workers: number = rules.min;
        let state: ScalingState = {};
        let outMs = -Infinity;
        let changeMs = -Infinity;
        for (const { afterMs, ...rest } of signals) {
          nowMs += afterMs;
          const made = scalePool(rules, { nowMs, workers, ready: workers, ...rest }, state);
          expect(made.workers).toBeGreaterThanOrEqual(rules.min);
          expect(made.workers).toBeLessThanOrEqual(rules.max);
          expect(made.onDemand + made.spot).toBe(made.workers);
          if (made.workers > workers && workers > 0) {
            expect(nowMs - outMs).toBeGreaterThanOrEqual(60_000);
          }
          if (made.workers < workers) expect(nowMs - changeMs).toBeGreaterThanOrEqual(300_000);
          if (made.workers > workers) outMs = nowMs;
          if (made.workers !== workers) changeMs = nowMs;
          ({ workers, state } = made);
        }
      },
    ),
  );
});
