import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createAgenda } from "../../../scripts/simulate/create-agenda.ts";
import { makeWorkload, meanOf } from "../../../scripts/simulate/make-workload.ts";
import { preemptiveMeanS } from "../../../scripts/simulate/preemptive-mean.ts";
import type { SimulatedPolicy, SimulationOptions } from "../../../scripts/simulate/simulation.ts";
import { simulate } from "../../../scripts/simulate/simulate.ts";
import { meanFigures, summarise, summariseEnds } from "../../../scripts/simulate/summarise.ts";
import { batchPool, jobPool } from "../../../shared/policies/scale.ts";

const ours: SimulatedPolicy = { by: "claiming", options: {} };
const roundRobin: SimulatedPolicy = { by: "assigning", rule: "round-robin", weighted: false };
const leastConnections: SimulatedPolicy = { ...roundRobin, rule: "least-connections" };
const SPEEDS = [1, 1, 1, 1, 1.5, 1.5, 1.5, 1.5, 2.5, 2.5, 2.5, 2.5];
const workersOf = (speeds: readonly number[], slots = 1) =>
  speeds.map((speed) => ({ speed, slots }));
const perSecond = (load: number, speed = 20) => (load * speed) / meanOf(6, 30);
const workload = (seed: number, load = 0.85, jobs = 400) =>
  makeWorkload({ seed, jobs, perSecond: perSecond(load), residual: 0.4 });
const run = (given: Partial<SimulationOptions> & Pick<SimulationOptions, "jobs">) =>
  simulate({
    regions: [{ id: "one", workers: workersOf(SPEEDS) }],
    policy: ours,
    estimates: "learnt",
    reportEveryS: 1,
    ...given,
  });

const anyPolicy = fc.constantFrom<SimulatedPolicy>(
  ours,
  { by: "claiming", options: { patience: 0, leaveForMs: 0 } },
  { by: "claiming", options: { waitCost: 1 } },
  roundRobin,
  { ...roundRobin, weighted: true },
  leastConnections,
  { ...leastConnections, weighted: true },
);
const anySimulation = fc
  .record({
    seed: fc.integer({ min: 1, max: 1_000_000 }),
    load: fc.double({ min: 0.1, max: 2, noNaN: true }),
    policy: anyPolicy,
    estimates: fc.constantFrom("learnt" as const, "known" as const, "none" as const),
    reportEveryS: fc.constantFrom(0, 0.5, 3),
    speeds: fc.array(fc.constantFrom(0.5, 1, 1.5, 2.5), { minLength: 1, maxLength: 8 }),
    slots: fc.integer({ min: 1, max: 3 }),
    regions: fc.integer({ min: 1, max: 3 }),
    route: fc.constantFrom("nearest" as const, "expected-wait" as const),
  })
  .map(({ speeds, slots, regions, load, ...rest }) => {
    const speed = speeds.reduce((sum, one) => sum + one, 0) * slots * regions;
    return {
      ...rest,
      slots,
      jobs: makeWorkload({
        seed: rest.seed,
        jobs: 60,
        perSecond: perSecond(load, speed),
        residual: 0.5,
        burst: 3,
        homes: Array.from({ length: regions }, () => 1),
      }),
      regions: Array.from({ length: regions }, (_, i) => ({
        id: `region-${i}`,
        workers: workersOf(speeds, slots),
      })),
    };
  });

test("under every policy each job is served once, not before it came, as long as its work takes, and never more at once than slots", () => {
  fc.assert(
    fc.property(anySimulation, (options) => {
      const { ends } = simulate(options);
      expect(ends.map(({ job }) => job.id).sort()).toEqual(options.jobs.map(({ id }) => id));
      const byWorker = Map.groupBy(ends, ({ worker }) => worker);
      for (const { job, startedAtS, endedAtS, speed } of ends) {
        expect(startedAtS).toBeGreaterThanOrEqual(job.arrivesAtS);
        expect(endedAtS - startedAtS).toBeCloseTo(job.work / speed, 6);
      }
      for (const runs of byWorker.values()) {
        for (const { startedAtS } of runs) {
          const atOnce = runs.filter(
            (other) => other.startedAtS <= startedAtS && startedAtS < other.endedAtS,
          );
          expect(atOnce.length).toBeLessThanOrEqual(options.slots);
        }
      }
    }),
    { numRuns: 60 },
  );
});

test("a weighted balancer gives workers jobs by speed and slots, any other the same to each", () => {
  const workers = [
    { speed: 1, slots: 2 },
    { speed: 2.5, slots: 1 },
  ];
  const shares = (policy: SimulatedPolicy) => {
    const { ends } = run({
      jobs: workload(1, 0.1, 450),
      regions: [{ id: "one", workers }],
      policy,
    });
    return workers.map(({ speed }) => ends.filter((end) => end.speed === speed).length);
  };
  expect(shares({ ...roundRobin, weighted: true })).toEqual([200, 250]);
  expect(shares(roundRobin)).toEqual([225, 225]);
});

test("the same options and seed give the same simulation, event for event", () => {
  fc.assert(
    fc.property(anySimulation, (options) => {
      expect(simulate(options)).toEqual(simulate(options));
    }),
    { numRuns: 20 },
  );
});

test("no job starves: none is overtaken by what came after it was due and had waited its half minute", () => {
  for (const seed of [1, 2, 3]) {
    const { ends } = run({ jobs: workload(seed, 1.5), seed, estimates: "known", reportEveryS: 0 });
    let overtaken = 0;
    for (const { job, startedAtS } of ends) {
      const boundS = job.arrivesAtS + Math.max(30, 10 * job.work);
      for (const other of ends) {
        if (other.job.arrivesAtS <= job.arrivesAtS || other.startedAtS >= startedAtS) continue;
        overtaken += 1;
        expect(other.job.arrivesAtS).toBeLessThanOrEqual(boundS);
      }
    }
    expect(overtaken).toBeGreaterThan(100);
  }
});

describe("over the workload of the bench, with a few seeds and short runs", () => {
  const figures = (
    policy: SimulatedPolicy,
    estimates: SimulationOptions["estimates"],
    load = 0.85,
  ) =>
    meanFigures(
      [1, 2, 3, 4, 5].map((seed) =>
        summarise(run({ jobs: workload(seed, load), seed, policy, estimates })),
      ),
    );
  const own = figures(ours, "learnt");

  test("jobs take less than 0.4 of the time they take with round-robin, and less than with least connections", () => {
    const turns = figures(roundRobin, "none");
    expect(own.meanS / turns.meanS).toBeLessThan(0.4);
    expect(own.p95S / turns.p95S).toBeLessThan(0.4);
    const fewest = figures(leastConnections, "none");
    expect(own.meanS / fewest.meanS).toBeLessThan(0.85);
    expect(own.p95S / fewest.p95S).toBeLessThan(0.85);
  });

  test("learnt estimates and reports of a second ago cost less than 15 % over knowing everything", () => {
    const knowing = [1, 2, 3, 4, 5].map((seed) =>
      summarise(run({ jobs: workload(seed), seed, estimates: "known", reportEveryS: 0 })),
    );
    expect(own.meanS / meanFigures(knowing).meanS).toBeLessThan(1.15);
  });

  test("with more work than they can do, workers are used to more than 0.9", () => {
    const { utilization } = figures(ours, "learnt", 1.3);
    expect(utilization).toBeGreaterThan(0.9);
    expect(utilization).toBeLessThanOrEqual(1);
  });
});

test("an oracle that may move jobs is faster than one that may not, and no faster than one worker could be", () => {
  const jobs = workload(3);
  const moved = preemptiveMeanS(jobs, SPEEDS);
  const known = summarise(run({ jobs, estimates: "known", reportEveryS: 0 })).meanS;
  expect(moved).toBeLessThan(known);
  expect(moved).toBeGreaterThan(meanOf(6, 30) / 2.5 / 1.2);
  // Two jobs on workers of speed 2 and 1: the short one runs on the fast worker, and then the long one moves there.
  const job = (id: string, work: number) => ({ ...jobs[0]!, id, work, arrivesAtS: 0 });
  expect(preemptiveMeanS([job("a", 8), job("b", 4)], [1, 2])).toBeCloseTo((2 + 5) / 2);
});

test("a pool that sleeps is woken by one job, and sleeps again when all is done", () => {
  const [first, second] = workload(1);
  const jobs = [
    { ...first!, arrivesAtS: 5 },
    { ...second!, arrivesAtS: 1500 },
  ];
  const scaling = { rules: batchPool, speeds: [1], slots: 1, bootS: 90, warmBootS: 10 };
  const { ends, changes } = run({ jobs, regions: [{ id: "one", workers: [] }], scaling });
  expect(changes.map(({ from, to, why }) => ({ from, to, why }))).toEqual([
    { from: 0, to: 1, why: "wake" },
    { from: 1, to: 0, why: "idle" },
    { from: 0, to: 1, why: "wake" },
  ]);
  // The next look comes within 10 s, and the warm machine within 10 more.
  for (const { job, startedAtS } of ends) {
    expect(startedAtS - job.arrivesAtS).toBeLessThanOrEqual(20);
  }
});

test("a pool under more than it can do grows until it can, and no job is lost when it shrinks", () => {
  const rush = workload(2, 2, 3000);
  const lastS = rush.at(-1)!.arrivesAtS;
  const calm = workload(3, 0.1, 200).map((job) => ({
    ...job,
    id: `calm-${job.id}`,
    arrivesAtS: lastS + job.arrivesAtS,
  }));
  const scaling = { rules: jobPool, speeds: [1, 2.5], slots: 1, bootS: 60, warmBootS: 10 };
  const jobs = [...rush, ...calm];
  const { ends, changes } = run({ jobs, scaling, sampleEveryS: 60 });
  expect(new Set(ends.map(({ job }) => job.id)).size).toBe(jobs.length);
  expect(changes.some(({ from, to }) => to > from)).toBe(true);
  expect(changes.some(({ from, to }) => to < from)).toBe(true);
  const without = summarise(run({ jobs }));
  expect(summarise(run({ jobs, scaling })).meanWaitS).toBeLessThan(without.meanWaitS / 2);
});

test("with clients crowding one region, going by expected wait takes them to others", () => {
  const jobs = makeWorkload({ seed: 4, jobs: 500, perSecond: perSecond(1.5), homes: [0.8, 0.2] });
  const regions = ["here", "there"].map((id) => ({ id, workers: workersOf(SPEEDS) }));
  const roundTripS = (from: number, to: number) => (from === to ? 0 : 0.1);
  const near = run({ jobs, regions, roundTripS, route: "nearest" });
  const short = run({ jobs, regions, roundTripS, route: "expected-wait" });
  const far = (from: number, to: number) => (from === to ? 0 : 1e6);
  const stayed = run({ jobs, regions, roundTripS: far, route: "expected-wait" });
  expect(stayed.ends.every(({ job, region }) => job.home === region)).toBe(true);
  expect(near.ends.every(({ job, region }) => job.home === region)).toBe(true);
  expect(summarise(short).meanWaitS).toBeLessThan(summarise(near).meanWaitS / 2);
});

test("figures are of the time from arrival to end, in order, whatever order the ends come in", () => {
  const [job] = workload(1);
  const ends = Array.from({ length: 100 }, (_, n) => {
    const took = ((n * 37) % 100) + 1;
    const { arrivesAtS } = job!;
    const times = { startedAtS: arrivesAtS + 1, endedAtS: arrivesAtS + took };
    return { job: job!, region: 0, worker: "w", speed: 1, ...times };
  });
  const { meanS, p50S, p95S, p99S, worstS, meanWaitS } = summariseEnds(ends);
  expect([p50S, p95S, p99S, worstS].map(Math.round)).toEqual([51, 96, 100, 100]);
  expect(meanS).toBeCloseTo(50.5);
  expect(meanWaitS).toBeCloseTo(1);
});

test("work is log-normal as asked for, whatever estimates can know of it, and bursts keep the mean rate", () => {
  const jobs = makeWorkload({ seed: 9, jobs: 20_000, perSecond: 2, residual: 0.4, burst: 5 });
  const sorted = jobs.map(({ work }) => work).sort((a, b) => a - b);
  expect(sorted[10_000]).toBeCloseTo(6, 0);
  expect(sorted[19_000]! / 30).toBeCloseTo(1, 1);
  expect(jobs.length / jobs.at(-1)!.arrivesAtS).toBeCloseTo(2, 0);
  const inBurst = jobs.filter(({ arrivesAtS }) => arrivesAtS % 300 < 30).length;
  expect(inBurst / jobs.length).toBeCloseTo(0.5, 1);
  const knowingAll = makeWorkload({ seed: 9, jobs: 20_000, perSecond: 2, residual: 0 });
  expect(knowingAll.map(({ work }) => work)).toEqual(jobs.map(({ work }) => work));
});

test("events come in order of time, and in order of entry where times are equal", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 9 })), (times) => {
      const agenda = createAgenda<number>();
      for (const [index, atS] of times.entries()) agenda.add(atS, index);
      const out: { atS: number; event: number }[] = [];
      for (let next = agenda.next(); next; next = agenda.next()) out.push(next);
      const expected = times
        .map((atS, event) => ({ atS, event }))
        .sort((a, b) => a.atS - b.atS || a.event - b.event);
      expect(out.map(({ atS, event }) => ({ atS, event }))).toEqual(expected);
    }),
  );
});

describe("npm run simulate", () => {
  const main = join(import.meta.dirname, "../../../scripts/simulate/main.ts");
  const call = (...args: string[]) => promisify(execFile)(process.execPath, [main, ...args]);

  test("prints one JSON object with --json, the same each time", async () => {
    const args = ["--json", "--jobs", "200", "--seeds", "2", "--compare", "--regions", "2"];
    const [first, second] = await Promise.all([call(...args), call(...args)]);
    expect(first.stdout).toBe(second.stdout);
    const { policies } = JSON.parse(first.stdout) as {
      policies: { policy: string; mean_s: number; regions: { jobs: number }[] }[];
    };
    expect(policies.map(({ policy }) => policy)).toContain("ours");
    for (const { regions } of policies) {
      expect(regions.reduce((sum, { jobs }) => sum + jobs, 0)).toBe(400);
    }
  });

  test("prints a timeline and the changes of a scaled pool", async () => {
    const { stdout } = await call(
      "--jobs",
      "300",
      "--seeds",
      "1",
      "--scaling",
      "batch",
      "--timeline",
      "30",
    );
    expect(stdout).toMatch(/0:00 +us-east +0 +0 +0/);
    expect(stdout).toMatch(/us-east: 0 → \d+ workers \(wake\)/);
    expect(stdout).toMatch(/ours +\d+\.\d\d/);
  });

  test.each([
    [["--load", "much"], "a number from 0.01 to 10, please"],
    [["--jobs", "1.5"], "a whole number from 1 to 200000, please"],
    [["--speeds", "1,,2"], "a number from 0.01 to 100, please"],
    [["--policy", "best"], "Allowed choices are ours"],
    [["--median", "9", "--p95", "9"], "--p95 must be more than --median"],
    [["--scaling", "jobs", "--policy", "round-robin"], "--scaling goes with policies"],
    [["--home-share", "0.5"], "--home-share needs --regions 2"],
    [["--lod", "1"], "unknown option '--lod'"],
    [["now"], "too many arguments"],
  ])("refuses %j and says why", async (args, reason) => {
    await expect(call(...args)).rejects.toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining(reason) as string,
    });
  });
});
