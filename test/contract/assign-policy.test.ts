import fc from "fast-check";
import { expect, test } from "vitest";
import {
  leastConnections,
  roundRobin,
  weightedRoundRobin,
  type Assignable,
} from "../../shared/policies/assign.ts";

const weighing = (...weights: number[]): Assignable[] =>
  weights.map((weight) => ({ jobs: 0, weight }));

test("in turns by weight, no worker is ever a whole job behind its share, whatever the weights", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(0.5, 1, 1.5, 2.5, 4), { minLength: 1, maxLength: 6 }),
      (weights) => {
        const workers = weighing(...weights);
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        const given = weights.map(() => 0);
        for (let turn = 0; turn < 60; turn++) {
          const index = weightedRoundRobin(turn, workers, given);
          given[index] = given[index]! + 1;
          for (const [i, weight] of weights.entries()) {
            expect(given[i]).toBeGreaterThan(((turn + 1) * weight) / total - 1);
          }
        }
      },
    ),
  );
});

test("without weights each gets a job in turn", () => {
  const workers = weighing(1, 1, 1);
  expect([0, 1, 2, 3].map((turn) => roundRobin(turn, workers))).toEqual([0, 1, 2, 0]);
});

test("the one with the fewest jobs for its weight is next, counting the job to come", () => {
  const [slow, fast] = weighing(1, 2.5) as [Assignable, Assignable];
  expect(leastConnections(0, [slow, fast])).toBe(1);
  // With one more, it would be two for a weight of 1, or four for one of 2.5.
  expect(
    leastConnections(0, [
      { ...slow, jobs: 1 },
      { ...fast, jobs: 3 },
    ]),
  ).toBe(1);
  expect(
    leastConnections(0, [
      { ...slow, jobs: 1 },
      { ...fast, jobs: 5 },
    ]),
  ).toBe(0);
});

test("among workers with equally few jobs each is chosen in turn", () => {
  const workers = weighing(1, 1, 1);
  expect([0, 1, 2, 3].map((turn) => leastConnections(turn, workers))).toEqual([0, 1, 2, 0]);
});
