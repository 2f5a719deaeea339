import fc from "fast-check";
import { expect, test } from "vitest";
import type { WorkerLoad } from "../../shared/contracts/load-report.ts";
import { RegionLoad } from "../../shared/contracts/load-report.ts";
import { aggregateLoad, expectedWaitS } from "../../shared/policies/region-load.ts";
import { slotsFreeInS } from "../../shared/policies/worker-room.ts";

const NOW = 5_000_000;
const worker = (worker_id: string, given: Partial<WorkerLoad> = {}): WorkerLoad => ({
  v: 1,
  worker_id,
  capacity: 1,
  active_jobs: 0,
  queued_compute_seconds: 0,
  speed: 1,
  draining: false,
  reported_at_ms: NOW,
  ttl_ms: 3000,
  ...given,
});
const none = { jobs: 0, computeS: 0 };
const load = (workers: WorkerLoad[], computeS = 0, jobs = 0) =>
  aggregateLoad({
    region: "us-east",
    nowMs: NOW,
    workers,
    waiting: { interactive: none, standard: { jobs, computeS }, batch: none },
  });
const waitOf = (...given: Parameters<typeof load>) => load(...given).expected_wait_s.standard;
const busy = (seconds: number, given: Partial<WorkerLoad> = {}) => ({
  active_jobs: 1,
  queued_compute_seconds: seconds,
  ...given,
});

test("whoever waits for workers that drain or fell silent alone waits for nobody knows how long", () => {
  const gone = [worker("a", { draining: true }), worker("b", { reported_at_ms: NOW - 3001 })];
  expect(expectedWaitS(gone, 10, NOW)).toBeNull();
  expect(expectedWaitS([...gone, worker("c")], 10, NOW)).toBe(10);
});

test("a region adds up its workers and what waits", () => {
  const workers = [worker("a", busy(6, { speed: 2 })), worker("b", { capacity: 3 })];
  expect(load(workers, 10, 4)).toEqual({
    v: 1,
    region: "us-east",
    workers: 2,
    capacity: 4,
    active_jobs: 1,
    active_compute_s: 6,
    queued_jobs: 4,
    queued_compute_s: 10,
    speed: 5,
    // Three slots of speed 1 from now on, one of speed 2 from second 3 on: 9 are done by then, the tenth at speed 5.
    expected_wait_s: { interactive: 0, standard: 3.2, batch: 3.2 },
    reported_at_ms: NOW,
    ttl_ms: 3000,
  });
});

test("nobody waits where a slot is free and nothing is queued", () => {
  expect(waitOf([worker("a"), worker("b", busy(100))])).toBe(0);
});

test("with all slots in use and nothing queued, the wait is until the first is free", () => {
  const workers = [worker("a", busy(30)), worker("b", busy(10, { speed: 2 }))];
  expect(waitOf(workers)).toBe(5);
});

test("nobody knows how long a job waits where there are no workers", () => {
  expect(waitOf([])).toBeNull();
  expect(waitOf([worker("a", { draining: true })], 5, 1)).toBeNull();
});

test("a job waits for its own class and those above, and not for those below", () => {
  const waiting = {
    interactive: { jobs: 1, computeS: 2 },
    standard: { jobs: 1, computeS: 10 },
    batch: { jobs: 50, computeS: 100 },
  };
  const made = aggregateLoad({ region: "us-east", nowMs: NOW, workers: [worker("a")], waiting });
  expect(made.expected_wait_s).toEqual({ interactive: 2, standard: 12, batch: 112 });
  expect(made).toMatchObject({ queued_jobs: 52, queued_compute_s: 112 });
});

test("a worker that fell silent counts for nothing; one that drains counts for its work alone", () => {
  const silent = worker("a", busy(50, { reported_at_ms: NOW - 3001 }));
  const draining = worker("b", busy(7, { draining: true }));
  expect(load([silent, draining, worker("c")])).toMatchObject({
    workers: 1,
    capacity: 1,
    active_jobs: 1,
    active_compute_s: 7,
    speed: 1,
  });
});

test("of two reports of one worker the newer counts, in either order", () => {
  const older = worker("a", busy(50, { reported_at_ms: NOW - 1000 }));
  const newer = worker("a");
  for (const reports of [
    [older, newer],
    [newer, older],
  ]) {
    expect(load(reports)).toMatchObject({ workers: 1, active_jobs: 0, active_compute_s: 0 });
  }
});

const anyWorkers = fc
  .array(
    fc.record({
      capacity: fc.integer({ min: 1, max: 4 }),
      active_jobs: fc.integer({ min: 0, max: 6 }),
      queued_compute_seconds: fc.double({ min: 0, max: 500, noNaN: true }),
      speed: fc.constantFrom(0.5, 1, 2.5),
      reported_at_ms: fc.integer({ min: NOW - 2999, max: NOW }),
    }),
    { minLength: 1, maxLength: 6 },
  )
  .map((all) => all.map((given, index) => worker(`w${index}`, given)));

test("more that waits never shortens a wait, and one more worker never lengthens it", () => {
  fc.assert(
    fc.property(
      anyWorkers,
      fc.double({ min: 0, max: 1000, noNaN: true }),
      fc.double({ min: 0, max: 1000, noNaN: true }),
      (workers, waiting, more) => {
        const wait = waitOf(workers, waiting)!;
        expect(waitOf(workers, waiting + more)).toBeGreaterThanOrEqual(wait);
        const helped = waitOf([...workers, worker("helper")], waiting);
        expect(helped).toBeLessThanOrEqual(wait + 1e-9);
      },
    ),
  );
});

test("a region's load is what the contract says, whatever its workers report", () => {
  fc.assert(
    fc.property(anyWorkers, fc.double({ min: 0, max: 1e6, noNaN: true }), (workers, waiting) => {
      const made = load(workers, waiting, 3);
      expect(RegionLoad.parse(made)).toEqual(made);
    }),
  );
});

test("a worker has as many slots as it says, and the jobs it runs keep as many of them", () => {
  fc.assert(
    fc.property(anyWorkers, ([one]) => {
      const free = slotsFreeInS({ ...one!, reported_at_ms: NOW }, NOW);
      expect(free).toHaveLength(one!.capacity);
      expect(free).toEqual(free.toSorted((a, b) => a - b));
      fc.pre(one!.queued_compute_seconds > 0.001);
      const idle = Math.max(0, one!.capacity - one!.active_jobs);
      expect(free.filter((seconds) => seconds === 0)).toHaveLength(idle);
    }),
  );
});
