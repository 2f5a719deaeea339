import { describe, expect, test } from "vitest";
import type { SimulatedJob } from "../../../scripts/simulate/make-workload.ts";
import { makeWorkload } from "../../../scripts/simulate/make-workload.ts";
import { simulate } from "../../../scripts/simulate/simulate.ts";
import type { SimulatedPolicy, SimulatedScaling } from "../../../scripts/simulate/simulation.ts";
import type { BacklogRules } from "../../../shared/policies/scale.ts";
import { jobPool } from "../../../shared/policies/scale.ts";

const ours: SimulatedPolicy = { by: "claiming", options: {} };
const [anyJob] = makeWorkload({ seed: 1, jobs: 1, perSecond: 1 });
const job = (id: string, arrivesAtS: number, work: number): SimulatedJob => ({
  ...anyJob!,
  id,
  arrivesAtS,
  work,
});
const workersOf = (...speeds: number[]) => [
  { id: "one", workers: speeds.map((speed) => ({ speed, slots: 1 })) },
];
const without = { steps: [], scaleOutCooldownMs: 0, scaleInCooldownMs: 0 };
const scalingBy = (rules: Partial<BacklogRules>, ...speeds: number[]): SimulatedScaling => ({
  rules: { ...jobPool, ...without, ...rules },
  speeds,
  slots: 1,
  bootS: 0,
  warmBootS: 0,
});

test("a pool that idled for long grows as soon as the last minute was busy, however long it idled", () => {
  for (const idleS of [600, 6_000]) {
    const jobs = ["a", "b"].map((id) => job(id, idleS, 500));
    const { changes } = simulate({
      jobs,
      regions: workersOf(1, 1),
      policy: ours,
      estimates: "known",
      scaling: scalingBy({ min: 2, max: 10, target: 0.6 }, 1),
    });
    // With looks every 10 s that each forget a sixth, use is 1 - (5/6)^n after n of them: over the target after the sixth.
    expect(changes[0]).toMatchObject({ atS: idleS + 60, from: 2, to: 3, why: "target" });
  }
});

test("of a pool that shrinks the slowest idle worker goes, and none that works", () => {
  const long = job("long", 0, 10_000);
  // So many at once wait that two workers are added, which are faster.
  const burst = [1, 2].map((n) => job(`burst-${n}`, 5, 1));
  const late = [1, 2].map((n) => job(`late-${n}`, 501, 6));
  const { ends, changes } = simulate({
    jobs: [long, ...burst, ...late],
    regions: workersOf(1),
    policy: ours,
    estimates: "known",
    scaling: scalingBy({ min: 1, max: 3, target: 0.6, steps: [{ fromWaiting: 2, add: 2 }] }, 3, 2),
  });
  expect(changes.slice(0, 2).map(({ from, to }) => [from, to])).toEqual([
    [1, 3],
    [3, 2],
  ]);
  const speedsOf = (jobs: SimulatedJob[]) =>
    ends.filter((end) => jobs.includes(end.job)).map(({ speed }) => speed);
  expect(speedsOf(burst)).toEqual([3, 2]);
  // The faster of the two is what is left beside the one that works.
  expect(speedsOf(late)).toEqual([3, 3]);
  expect(speedsOf([long])).toEqual([1]);
});

describe("what workers know of each other", () => {
  const run = (jobs: SimulatedJob[], reportEveryS: number) =>
    simulate({
      jobs,
      regions: workersOf(10, 1),
      policy: ours,
      estimates: "known",
      reportEveryS,
    }).ends;
  /** When the slow worker begins a short job, while the fast one is at a long one. */
  const beginsAt = (longAtS: number, shortAtS: number, reportEveryS: number) => {
    const ends = run([job("long", longAtS, 1_000), job("short", shortAtS, 10)], reportEveryS);
    const end = ends.find((each) => each.job.id === "short")!;
    expect(end.speed).toBe(1);
    return end.startedAtS;
  };

  test("is as old as reports are: a job is left for a faster worker that was free when it last told", () => {
    expect(beginsAt(0, 10, 0)).toBe(10);
    // Reports of every 100 s hold for three times as long: this one is 10 s old.
    expect(beginsAt(0, 10, 100)).toBeGreaterThan(10.5);
  });

  test("is mended by each report: nobody waits any longer for one that told of being busy", () => {
    expect(beginsAt(0, 10, 8)).toBe(10);
    // Busy since after the first report; the second comes within 16 s.
    expect(beginsAt(9, 17, 8)).toBe(17);
  });

  test("holds for as long as reports come: what the faster worker can do at once is left to it", () => {
    const jobs = Array.from({ length: 20 }, (_, n) => job(`${n}`, 100 * (n + 1), 10));
    expect(new Set(run(jobs, 8).map(({ speed }) => speed))).toEqual(new Set([10]));
  });
});

test("of equal workers that could take a job any may be the first to ask, each as often as the others", () => {
  const jobs = Array.from({ length: 600 }, (_, n) => job(`${n}`, n * 10, 1));
  const firsts = (seed: number) =>
    simulate({
      jobs,
      regions: workersOf(1, 1, 1),
      policy: ours,
      estimates: "known",
      seed,
    }).ends.map(({ worker }) => worker);
  const order = firsts(1);
  const counts = Map.groupBy(order, (worker) => worker);
  expect([...counts.keys()].toSorted()).toEqual(["one-1", "one-2", "one-3"]);
  for (const { length } of counts.values()) {
    expect(length).toBeGreaterThan(150);
    expect(length).toBeLessThan(250);
  }
  expect(firsts(1)).toEqual(order);
  expect(firsts(2)).not.toEqual(order);
});
