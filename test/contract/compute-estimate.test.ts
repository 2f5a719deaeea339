import fc from "fast-check";
import { expect, test } from "vitest";
import type { ComputeHistory, JobShape } from "../../shared/policies/compute-estimate.ts";
import {
  emptyHistory,
  estimateCompute,
  learnCompute,
  remainingCompute,
} from "../../shared/policies/compute-estimate.ts";
import { createRandom } from "../../scripts/simulate/create-random.ts";

const shape = (given: Partial<JobShape> = {}): JobShape => ({
  kind: "analysis",
  parts: ["features", "transcript"],
  model: "small@1",
  audioSeconds: 30,
  ...given,
});

/** What is known after `runs` runs at a rate, each off by a log-normal error. */
function taught(
  rate: number,
  runs: number,
  { error = 0, from = emptyHistory, of = shape(), seed = 1 } = {},
): ComputeHistory {
  const random = createRandom(seed);
  let history = from;
  for (let i = 0; i < runs; i += 1) {
    const audioSeconds = 5 + 60 * random.next();
    const took = rate * audioSeconds * Math.exp(error * random.normal());
    history = learnCompute(history, { ...of, audioSeconds }, took);
  }
  return history;
}

test("before anything ran, the prior decides: a fifth of the length of the audio, give or take", () => {
  const { seconds, weight } = estimateCompute(emptyHistory, shape());
  expect(seconds).toBeGreaterThan(0.2 * 30 * 1.5);
  expect(seconds).toBeLessThan(0.2 * 30 * 2);
  expect(weight).toBe(0);
});

test("a shape's rate is learnt in a few dozen runs, and so is how far runs are off it", () => {
  const history = taught(1.7, 100, { error: 0.3 });
  const { seconds, spread } = estimateCompute(history, shape({ audioSeconds: 100 }));
  // The mean of such runs, which is above their median.
  const mean = 170 * Math.exp(0.3 ** 2 / 2);
  expect(seconds).toBeGreaterThan(0.85 * mean);
  expect(seconds).toBeLessThan(1.15 * mean);
  expect(spread).toBeGreaterThan(0.2);
  expect(spread).toBeLessThan(0.5);
});

test("a longer recording is estimated as so much longer", () => {
  const history = taught(0.5, 50);
  const of = (audioSeconds: number) => estimateCompute(history, shape({ audioSeconds })).seconds;
  expect(of(600) / of(60)).toBeCloseTo(10);
});

test("shapes are learnt apart, whatever the order of their parts", () => {
  const cheap = shape({ parts: ["features"] });
  let history = taught(2, 50);
  history = taught(0.02, 50, { from: history, of: cheap });
  const dear = estimateCompute(history, shape({ parts: ["transcript", "features"] })).seconds;
  expect(dear / estimateCompute(history, cheap).seconds).toBeGreaterThan(40);
});

test("a shape never seen takes after the others rather than after the prior", () => {
  const history = taught(5, 100);
  const { seconds } = estimateCompute(history, shape({ model: "other@1" }));
  expect(seconds).toBeGreaterThan(0.7 * 5 * 30);
  expect(seconds).toBeLessThan(1.5 * 5 * 30);
});

test("a job whose length is not known is taken to be as long as others were", () => {
  const history = taught(1, 100);
  const { audioSeconds: _, ...unknown } = shape();
  const { seconds, spread } = estimateCompute(history, unknown);
  expect(seconds).toBeGreaterThan(20);
  expect(seconds).toBeLessThan(60);
  expect(spread).toBeGreaterThan(estimateCompute(history, shape()).spread);
});

test("one run that hung does not spoil what was learnt", () => {
  const history = taught(1, 50, { error: 0.1 });
  const before = estimateCompute(history, shape()).seconds;
  const after = estimateCompute(learnCompute(history, shape(), 3_000_000), shape()).seconds;
  expect(after / before).toBeLessThan(1.1);
  expect(after).toBeGreaterThan(before);
});

test("a model that became four times faster is known to be so after some fifty runs", () => {
  const old = taught(2, 300, { error: 0.2 });
  const history = taught(0.5, 50, { error: 0.2, from: old, seed: 2 });
  const before = estimateCompute(old, shape()).seconds;
  expect(estimateCompute(history, shape()).seconds / before).toBeLessThan(0.4);
});

test("what cannot be measured teaches nothing", () => {
  const history = taught(1, 3);
  for (const seconds of [0, -1, NaN, Infinity]) {
    expect(learnCompute(history, shape(), seconds)).toBe(history);
    expect(learnCompute(history, shape({ audioSeconds: seconds }), 5)).toBe(history);
  }
  const { audioSeconds: _, ...unknown } = shape();
  expect(learnCompute(history, unknown, 5)).toBe(history);
});

test("whatever was learnt, an estimate is a positive number, and history survives JSON", () => {
  const run = fc.record({
    model: fc.constantFrom("a", "b", "__proto__", "constructor"),
    audioSeconds: fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
    seconds: fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(run, { maxLength: 40 }), run, (runs, next) => {
      let history = emptyHistory;
      for (const { model, audioSeconds, seconds } of runs) {
        const before = JSON.stringify(history);
        const learnt = learnCompute(history, shape({ model, audioSeconds }), seconds);
        expect(JSON.stringify(history)).toBe(before);
        history = JSON.parse(JSON.stringify(learnt)) as ComputeHistory;
        expect(history).toEqual(learnt);
      }
      const estimate = estimateCompute(history, shape(next));
      expect(estimate.seconds).toBeGreaterThan(0);
      expect(Number.isFinite(estimate.seconds)).toBe(true);
      expect(estimate.spread).toBeGreaterThanOrEqual(0);
    }),
  );
});

test("rows are bounded, and what was seen most stays", () => {
  let history = taught(1, 20);
  for (let i = 0; i < 50; i += 1) {
    for (const seconds of [10, 12]) {
      history = learnCompute(history, shape({ model: `m${i}` }), seconds, { mostKeys: 10 });
    }
  }
  expect(Object.keys(history.rates)).toHaveLength(10);
  expect(Object.keys(history.lengths)).toHaveLength(10);
  expect(estimateCompute(history, shape()).weight).toBeGreaterThan(10);
  expect(estimateCompute(history, shape({ model: "m49" })).weight).toBeGreaterThan(1);
});

test("a run that outlives its estimate is expected to go on, the longer the longer it has", () => {
  expect(remainingCompute(10, 0)).toBe(10);
  expect(remainingCompute(10, 4)).toBe(6);
  expect(remainingCompute(10, 10)).toBeGreaterThan(0);
  expect(remainingCompute(10, 60)).toBeGreaterThan(remainingCompute(10, 20));
  // A run that knows how far it is: one that will take 100 instead of 10, and one that will take 2.
  const slow = [0.1, 0.5, 0.9].map((f) => remainingCompute(10, 100 * f, f) / (100 * (1 - f)));
  expect(slow).toEqual(slow.toSorted((a, b) => a - b));
  expect(slow.at(-1)).toBeGreaterThan(0.95);
  expect(remainingCompute(10, 1.8, 0.9)).toBeLessThan(1.1);
});
