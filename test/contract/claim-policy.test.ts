import fc from "fast-check";
import { expect, test } from "vitest";
import { WorkerLoad } from "../../shared/contracts/load-report.ts";
import type { ClaimInput, WaitingJob } from "../../shared/policies/claim.ts";
import { chooseJob, claimLimit, DEFAULT_PATIENCE, dueAtMs } from "../../shared/policies/claim.ts";

const NOW = 1_000_000;

const worker = (given: Partial<WorkerLoad> = {}): WorkerLoad => ({
  v: 1,
  worker_id: "asker",
  capacity: 1,
  active_jobs: 0,
  queued_compute_seconds: 0,
  speed: 1,
  draining: false,
  reported_at_ms: NOW,
  ttl_ms: 3000,
  ...given,
});
const fast = (given: Partial<WorkerLoad> = {}) =>
  worker({ worker_id: "fast", speed: 2.5, ...given });
const job = (id: string, computeSeconds: number, waitedS = 0, weight?: number): WaitingJob => ({
  id,
  queuedAtMs: NOW - waitedS * 1000,
  computeSeconds,
  ...(weight === undefined ? {} : { weight }),
});
const choose = (given: Partial<ClaimInput>) =>
  chooseJob({ nowMs: NOW, worker: worker(), others: [], waiting: [], ...given });
const taken = (given: Partial<ClaimInput>) => choose(given).take?.id;

const anyWorker = fc.record({
  v: fc.constant(1 as const),
  worker_id: fc.constantFrom("a", "b", "c", "d", "e"),
  capacity: fc.integer({ min: 1, max: 4 }),
  active_jobs: fc.integer({ min: 0, max: 5 }),
  queued_compute_seconds: fc.double({ min: 0, max: 500, noNaN: true }),
  speed: fc.constantFrom(0.5, 1, 1.5, 2.5),
  draining: fc.boolean(),
  reported_at_ms: fc.integer({ min: NOW - 6000, max: NOW + 1000 }),
  ttl_ms: fc.constant(3000),
});
const anyJob = fc.record({
  id: fc.uuid(),
  queuedAtMs: fc.integer({ min: NOW - 600_000, max: NOW }),
  computeSeconds: fc.double({ min: 0.01, max: 300, noNaN: true }),
  weight: fc.constantFrom(0.5, 1, 4),
});
const anything = fc.record({
  nowMs: fc.constant(NOW),
  worker: anyWorker,
  others: fc.array(anyWorker, { maxLength: 6 }),
  waiting: fc.uniqueArray(anyJob, { maxLength: 20, selector: ({ id }) => id }),
});

test("a worker without room takes nothing, and what is taken is one of those that wait", () => {
  fc.assert(
    fc.property(anything, (input) => {
      const { take } = chooseJob(input);
      if (input.worker.draining || input.worker.active_jobs >= input.worker.capacity) {
        expect(take).toBeNull();
      } else if (take) expect(input.waiting).toContain(take);
    }),
  );
});

test("the choice hangs on neither the order of the jobs nor that of the reports", () => {
  fc.assert(
    fc.property(anything, (input) => {
      const others = [...new Map(input.others.map((other) => [other.worker_id, other])).values()];
      const turned = {
        ...input,
        others: others.toReversed(),
        waiting: input.waiting.toReversed(),
      };
      expect(chooseJob(turned)).toEqual(chooseJob({ ...input, others }));
    }),
  );
});

test("whoever is not slower than the others takes something whenever something waits", () => {
  fc.assert(
    fc.property(anything, (input) => {
      fc.pre(input.waiting.length > 0);
      const asker = { ...input.worker, speed: 2.5, draining: false, active_jobs: 0 };
      expect(chooseJob({ ...input, worker: asker }).take).not.toBeNull();
    }),
  );
});

test("no job is left for long: what has waited half a minute is taken by any worker with room", () => {
  fc.assert(
    fc.property(anything, (input) => {
      const asker = { ...input.worker, draining: false, active_jobs: 0 };
      fc.pre(input.waiting.some(({ queuedAtMs }) => NOW - queuedAtMs >= 30_000));
      expect(chooseJob({ ...input, worker: asker }).take).not.toBeNull();
    }),
  );
});

test("a job that is due and has waited long is never passed over for one that came after it was due", () => {
  fc.assert(
    fc.property(anything, (input) => {
      const { take } = chooseJob(input);
      if (!take) return;
      for (const other of input.waiting) {
        if (NOW - other.queuedAtMs < 30_000) continue;
        expect(take.queuedAtMs).toBeLessThanOrEqual(dueAtMs(other));
      }
    }),
  );
});

test("whoever leaves all jobs is told when to ask again, within the half minute", () => {
  fc.assert(
    fc.property(anything, (input) => {
      const choice = chooseJob(input);
      if (choice.take || choice.why !== "faster_soon") return;
      expect(choice.askAgainInMs).toBeGreaterThan(0);
      expect(choice.askAgainInMs).toBeLessThanOrEqual(30_000);
    }),
  );
});

test("of jobs that came together the shortest goes first", () => {
  expect(taken({ waiting: [job("long", 60), job("short", 2), job("middle", 10)] })).toBe("short");
});

test("of equal jobs the one that came first goes first, and of those the one with the lesser id", () => {
  expect(taken({ waiting: [job("a", 0, 1), job("b", 0, 2)] })).toBe("b");
  expect(taken({ waiting: [job("b", 5), job("a", 5)] })).toBe("a");
  expect(taken({ waiting: [job("a", 5), job("b", 5)] })).toBe("a");
});

test("a long job goes before a short one that came after it was due", () => {
  const waitedS = 6 * DEFAULT_PATIENCE;
  expect(taken({ waiting: [job("long", 6, waitedS - 5), job("short", 0.1)] })).toBe("short");
  expect(taken({ waiting: [job("long", 6, waitedS + 5), job("short", 0.1)] })).toBe("long");
});

test("a job of more weight goes before an equal one, and before one that is not so much shorter", () => {
  expect(taken({ waiting: [job("plain", 8), job("weighty", 8, 0, 4)] })).toBe("weighty");
  expect(taken({ waiting: [job("plain", 3), job("weighty", 8, 0, 4)] })).toBe("weighty");
  expect(taken({ waiting: [job("plain", 1), job("weighty", 8, 0, 4)] })).toBe("plain");
});

test("a slow worker leaves a job to a faster one that is idle, and helps when there are more", () => {
  const others = [fast()];
  const [one, two, three] = [job("one", 10), job("two", 11), job("three", 12)];
  expect(choose({ others, waiting: [one] })).toMatchObject({ why: "faster_soon" });
  expect(taken({ others, waiting: [one, two] })).toBe("one");
  const both = [fast(), fast({ worker_id: "fast-2" })];
  expect(taken({ others: both, waiting: [one, two] })).toBeUndefined();
  expect(taken({ others: both, waiting: [one, two, three] })).toBe("one");
});

test("the limit is the size from which waiting for a faster worker pays", () => {
  const others = [fast({ active_jobs: 1, queued_compute_seconds: 2.5 })];
  const waiting = { jobs: 1, computeSeconds: 10 };
  const limit = claimLimit({ nowMs: NOW, worker: worker(), others, waiting }, { waitCost: 3 });
  // Five take 5 s here; there a second of waiting, which counts three, and two of running.
  expect(limit.maxComputeSeconds).toBeCloseTo(5);
  expect(limit.askAgainInMs).toBe(1000);
  // Of two that wait, the idle one takes the other, which it has done after 4 s.
  const two = { jobs: 2, computeSeconds: 20 };
  const input = { nowMs: NOW, worker: worker(), others: [fast()], waiting: two };
  expect(claimLimit(input, { waitCost: 3 }).maxComputeSeconds).toBeCloseTo(20);
  const alone = claimLimit({ nowMs: NOW, worker: worker(), others: [], waiting });
  expect(alone).toEqual({ maxComputeSeconds: Infinity, askAgainInMs: null });
  const full = claimLimit({ nowMs: NOW, worker: worker({ active_jobs: 1 }), others, waiting });
  expect(full.maxComputeSeconds).toBe(0);
});

test("more that waits never lowers the limit for jobs of the same size", () => {
  fc.assert(
    fc.property(
      anything,
      fc.integer({ min: 1, max: 80 }),
      fc.double({ min: 0.1, max: 100, noNaN: true }),
      (input, jobs, size) => {
        const limit = (count: number) =>
          claimLimit({ ...input, waiting: { jobs: count, computeSeconds: count * size } });
        const more = limit(jobs + 1).maxComputeSeconds;
        expect(more).toBeGreaterThanOrEqual(limit(jobs).maxComputeSeconds * (1 - 1e-9));
      },
    ),
  );
});

test("a slow worker leaves a long job to a faster one that is free in a moment, and takes a short one", () => {
  const others = [fast({ active_jobs: 1, queued_compute_seconds: 2.5 })];
  expect(choose({ others, waiting: [job("long", 60)] })).toEqual({
    take: null,
    why: "faster_soon",
    askAgainInMs: 1000,
  });
  expect(taken({ others, waiting: [job("short", 3)] })).toBe("short");
  expect(taken({ others, waiting: [job("long", 60), job("short", 3)] })).toBe("short");
});

test("a slow worker helps once the faster ones have much ahead of them", () => {
  const others = [fast({ active_jobs: 1, queued_compute_seconds: 40 })];
  expect(taken({ others, waiting: [job("long", 60)] })).toBe("long");
});

test("with waiting priced without bound, jobs are left to idle faster workers alone", () => {
  const waiting = [job("one", 10), job("two", 11)];
  const input = { nowMs: NOW, worker: worker(), waiting };
  const options = { waitCost: Infinity };
  const busy = fast({ active_jobs: 1, queued_compute_seconds: 0.1 });
  expect(chooseJob({ ...input, others: [busy] }, options).take?.id).toBe("one");
  const idle = fast({ worker_id: "fast-2" });
  expect(
    chooseJob({ ...input, waiting: [waiting[0]!], others: [busy, idle] }, options),
  ).toMatchObject({
    why: "faster_soon",
  });
  expect(chooseJob({ ...input, others: [busy, idle] }, options).take?.id).toBe("one");
  const limit = claimLimit(
    { ...input, others: [idle], waiting: { jobs: 1, computeSeconds: 10 } },
    options,
  );
  expect(limit.maxComputeSeconds).toBe(0);
});

test("nothing is left for a worker that fell silent or drains, or that is only as fast", () => {
  const waiting = [job("one", 10)];
  expect(taken({ others: [fast({ reported_at_ms: NOW - 3001 })], waiting })).toBe("one");
  expect(taken({ others: [fast({ draining: true })], waiting })).toBe("one");
  expect(taken({ others: [fast({ speed: 1 })], waiting })).toBe("one");
  expect(taken({ others: [fast()], waiting })).toBeUndefined();
});

test("time that went by since a report counts for when its worker is free", () => {
  const waiting = [job("long", 60)];
  const report = { active_jobs: 1, queued_compute_seconds: 20 };
  expect(taken({ others: [fast(report)], waiting })).toBe("long");
  const before = fast({ ...report, reported_at_ms: NOW - 5000, ttl_ms: 10_000 });
  expect(taken({ others: [before], waiting })).toBeUndefined();
});

test("a report that cannot be is refused by the contract", () => {
  expect(WorkerLoad.safeParse(worker()).success).toBe(true);
  for (const wrong of [{ speed: 0 }, { capacity: 0 }, { active_jobs: -1 }, { speed: Infinity }]) {
    expect(WorkerLoad.safeParse({ ...worker(), ...wrong }).success).toBe(false);
  }
});
