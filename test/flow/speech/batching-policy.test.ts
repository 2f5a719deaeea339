import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  guessCost,
  learnCost,
  overheadShare,
  predictMs,
} from "../../../regions/speech/batching/cost-model.ts";
import type { CostModel } from "../../../regions/speech/batching/cost-model.ts";
import {
  decideBatch,
  defaultBatchLimits,
  mostItems,
} from "../../../regions/speech/batching/decide-batch.ts";
import type { BatchState, Bucket, Waiting } from "../../../regions/speech/batching/decide-batch.ts";
import { planResidency } from "../../../regions/speech/inference/plan-residency.ts";

const limits = defaultBatchLimits;
/** Like silero on one core: 0.07 ms a call, 0.055 ms a window of 32 ms. */
const cost: CostModel = { ...guessCost({ fixed: 0.07, perItemSecond: 1.72 }), seen: 100 };
const WINDOW_S = 0.032;

const arbitraryItem = fc.record({
  deadline: fc.double({ min: 0, max: 300, noNaN: true }),
  sendBy: fc.double({ min: 0, max: 100, noNaN: true }),
});
const arbitraryBucket = fc
  .record({
    seconds: fc.constantFrom(0.032, 0.5, 2, 8, 30),
    items: fc.array(arbitraryItem, { minLength: 1, maxLength: 90 }),
  })
  .map(({ seconds, items }): Bucket => {
    return { seconds, items: items.toSorted((a, b) => a.deadline - b.deadline) };
  });
const arbitraryState = fc.record({
  now: fc.double({ min: 0, max: 100, noNaN: true }),
  buckets: fc.uniqueArray(arbitraryBucket, { selector: ({ seconds }) => seconds, maxLength: 5 }),
  cost: fc
    .record({
      fixed: fc.double({ min: 0, max: 50, noNaN: true }),
      perSecond: fc.double({ min: 0, max: 50, noNaN: true }),
      perItemSecond: fc.double({ min: 0, max: 50, noNaN: true }),
      margin: fc.double({ min: 1, max: 4, noNaN: true }),
    })
    .map((known): CostModel => ({ ...guessCost(), ...known })),
  inFlight: fc.integer({ min: 0, max: 2 }),
  freeAt: fc.double({ min: 0, max: 150, noNaN: true }),
});

function headOf(bucket: Bucket | undefined): Waiting {
  const head = bucket?.items[0];
  if (head === undefined) throw new Error("An empty batch was sent.");
  return head;
}

describe("the choice of a batch", () => {
  test("never goes past its limits, and never sends what is not there", () => {
    fc.assert(
      fc.property(arbitraryState, (state) => {
        const decision = decideBatch(state, limits);
        if (decision.type === "wait") return;
        const bucket = state.buckets[decision.bucket]!;
        expect(decision.count).toBeGreaterThan(0);
        expect(decision.count).toBeLessThanOrEqual(bucket.items.length);
        expect(decision.count).toBeLessThanOrEqual(limits.maxItems);
        const alone = predictMs(state.cost, 1, bucket.seconds);
        if (decision.count > 1 && alone <= limits.maxRunMs) {
          const ms = predictMs(state.cost, decision.count, bucket.seconds);
          expect(ms).toBeLessThanOrEqual(limits.maxRunMs * (1 + 1e-9));
        }
        expect(state.inFlight).toBeLessThan(limits.maxInFlight);
      }),
    );
  });

  test("looks again in the future, or at the latest when a batch returns or an item comes", () => {
    fc.assert(
      fc.property(arbitraryState, (state) => {
        const decision = decideBatch(state, limits);
        if (decision.type === "send") return;
        expect(decision.until).toBeGreaterThan(state.now);
        if (decision.until === Infinity) {
          expect(state.inFlight > 0 || state.buckets.length === 0).toBe(true);
        }
      }),
    );
  });

  test("is never put off, where the model is free, once an item has waited for company as long as it may", () => {
    fc.assert(
      fc.property(arbitraryState, (state) => {
        const free = { ...state, inFlight: 0 };
        const isDue = free.buckets.some(({ items }) =>
          items.some(({ sendBy }) => sendBy <= free.now),
        );
        const decision = decideBatch(free, limits);
        if (isDue && decision.type === "wait") {
          // Only a large batch may ignore how long its items would have waited, and that is sent at once.
          throw new Error("A free model waits though an item has waited enough.");
        }
      }),
    );
  });

  test("sends the nearest deadline first when there is no time to lose", () => {
    fc.assert(
      fc.property(arbitraryState, (state) => {
        const pressed: BatchState = { ...state, inFlight: 0, now: 1000 };
        const decision = decideBatch(pressed, limits);
        if (state.buckets.length === 0) return;
        if (decision.type !== "send") throw new Error("It waits though all are late.");
        const nearest = Math.min(...state.buckets.map((bucket) => headOf(bucket).deadline));
        expect(headOf(state.buckets[decision.bucket]).deadline).toBe(nearest);
      }),
    );
  });

  test("does not let a large batch make a small one late that could be in time", () => {
    const many = Array.from({ length: 64 }, () => ({ deadline: 500, sendBy: 400 }));
    const urgent = [{ deadline: 13, sendBy: 12 }];
    const slow = { ...cost, fixed: 2, perItemSecond: 10 };
    const state = { now: 0, cost: slow, inFlight: 0, freeAt: 0 };
    const buckets = [
      { seconds: WINDOW_S, items: many },
      { seconds: 0.5, items: urgent },
    ];
    expect(decideBatch({ ...state, buckets }, limits)).toEqual({
      type: "send",
      bucket: 1,
      count: 1,
    });
    const later = [buckets[0]!, { seconds: 0.5, items: [{ deadline: 300, sendBy: 200 }] }];
    expect(decideBatch({ ...state, buckets: later }, limits)).toMatchObject({ bucket: 0 });
  });

  test("waits while company saves much, and not once it saves little", () => {
    const items = (count: number) =>
      Array.from({ length: count }, () => ({ deadline: 100, sendBy: 50 }));
    const state = { now: 0, cost, inFlight: 0, freeAt: 0 };
    const few = { ...state, buckets: [{ seconds: WINDOW_S, items: items(5) }] };
    expect(decideBatch(few, limits)).toMatchObject({ type: "wait", until: 50 });
    const many = { ...state, buckets: [{ seconds: WINDOW_S, items: items(30) }] };
    expect(decideBatch(many, limits)).toMatchObject({ type: "send", count: 30 });
    expect(overheadShare(cost, 30, WINDOW_S)).toBeLessThan(limits.waste);
    expect(overheadShare(cost, 5, WINDOW_S)).toBeGreaterThan(limits.waste);
  });

  test("makes no stream late that the model has time for, whatever the phases of the streams", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 480 }), fc.nat(), (count, seed) => {
        const { late, batches, windows } = playStreams(count, seed);
        expect(late).toBe(0);
        // With many streams the model must not be called for each.
        if (count > 200) expect(windows / batches).toBeGreaterThan(8);
      }),
      { numRuns: 30 },
    );
  });
});

/** A second of so many streams, a window each 32 ms, due in 60: the policy on a clock of its own. */
function playStreams(count: number, seed: number) {
  const arrivals: number[] = [];
  for (let stream = 0; stream < count; stream += 1) {
    const phase = ((stream * 7919 + seed) % 3200) / 100;
    for (let at = phase; at < 1000; at += 32) arrivals.push(at);
  }
  arrivals.sort((a, b) => a - b);
  const waiting: Waiting[] = [];
  let now = 0;
  let busyUntil = -1;
  let next = 0;
  let late = 0;
  let batches = 0;
  while (next < arrivals.length || waiting.length > 0) {
    for (; next < arrivals.length && arrivals[next]! <= now; next += 1) {
      waiting.push({ deadline: arrivals[next]! + 60, sendBy: arrivals[next]! + 12 });
    }
    const buckets = waiting.length === 0 ? [] : [{ seconds: WINDOW_S, items: waiting }];
    const inFlight = busyUntil > now ? 1 : 0;
    // One at a time, so that this clock needs no queue of the model's own.
    const decision = decideBatch(
      { now, buckets, cost, inFlight, freeAt: busyUntil },
      { ...limits, maxInFlight: 1 },
    );
    if (decision.type === "send") {
      busyUntil = now + predictMs(cost, decision.count, WINDOW_S);
      batches += 1;
      for (const item of waiting.splice(0, decision.count))
        late += Number(item.deadline < busyUntil);
    } else {
      now = Math.min(
        decision.until,
        arrivals[next] ?? Infinity,
        inFlight > 0 ? busyUntil : Infinity,
      );
    }
  }
  return { late, batches, windows: arrivals.length };
}

describe("the model of cost", () => {
  const truth = { fixed: 0.4, perSecond: 2, perItemSecond: 1.7 };
  const measured = (count: number, seconds: number) =>
    truth.fixed + truth.perSecond * seconds + truth.perItemSecond * count * seconds;
  const shapes = [
    [1, 0.032],
    [64, 0.032],
    [20, 0.5],
    [3, 8],
    [1, 30],
    [12, 2],
  ] as const;

  /** A thousand batches, one in ten of which was held up twelvefold by something else. */
  function learn(from: CostModel, slowness: number): CostModel {
    let known = from;
    for (let i = 0; i < 1000; i += 1) {
      const [count, seconds] = shapes[(i * 7) % shapes.length]!;
      const held = i % 10 === 9 ? 12 : 1;
      known = learnCost(known, { count, seconds, ms: measured(count, seconds) * slowness * held });
    }
    return known;
  }

  test("predicts batches of every shape after some of them, though some were held up", () => {
    const known = learn(guessCost(), 1);
    for (const [count, seconds] of [...shapes, [32, 0.064], [5, 4]] as const) {
      const ratio = predictMs(known, count, seconds) / measured(count, seconds);
      expect(ratio).toBeGreaterThan(0.8);
      expect(ratio).toBeLessThan(1.35);
    }
    expect(known.margin).toBeGreaterThan(1);
  });

  test("follows a machine that becomes three times slower, and one that recovers", () => {
    const before = learn(guessCost(), 1);
    const slow = learn(before, 3);
    const again = learn(slow, 1);
    const at = (known: CostModel) => predictMs(known, 20, 0.5) / measured(20, 0.5);
    expect(at(slow)).toBeGreaterThan(2.4);
    expect(at(slow)).toBeLessThan(4);
    expect(at(again)).toBeLessThan(1.35);
  });

  test("never holds that a larger or longer batch takes less time, or none", () => {
    const observation = fc.record({
      count: fc.integer({ min: 1, max: 64 }),
      seconds: fc.double({ min: 0.01, max: 30, noNaN: true }),
      ms: fc.double({ min: 0, max: 10_000 }),
    });
    fc.assert(
      fc.property(fc.array(observation, { maxLength: 60 }), (observations) => {
        const known = observations.reduce(learnCost, guessCost());
        for (const term of [known.fixed, known.perSecond, known.perItemSecond]) {
          expect(Number.isFinite(term)).toBe(true);
          expect(term).toBeGreaterThanOrEqual(0);
        }
        expect(mostItems(known, 1, limits)).toBeGreaterThanOrEqual(1);
      }),
    );
  });
});

describe("which models stay in memory", () => {
  const arbitraryModel = fc.record({
    key: fc.uuid(),
    memoryMb: fc.integer({ min: 0, max: 900 }),
    usedAt: fc.nat(1000),
    busy: fc.boolean(),
  });

  test("is within the budget, drops none that could have stayed, and refuses what never fits", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(arbitraryModel, { selector: ({ key }) => key, maxLength: 8 }),
        fc.integer({ min: 1, max: 1200 }),
        (resident, memoryMb) => {
          const budget = 1000;
          const plan = planResidency(resident, { key: "wanted", memoryMb }, budget);
          if (memoryMb > budget) {
            expect(plan).toEqual({ type: "too_large" });
            return;
          }
          if (plan.type !== "load") throw new Error("It fits.");
          const staying = resident.filter(({ key }) => !plan.unload.includes(key));
          const used = staying.reduce((sum, model) => sum + model.memoryMb, memoryMb);
          expect(used).toBeLessThanOrEqual(budget);
          for (const model of resident.filter(({ key }) => plan.unload.includes(key))) {
            expect(used + model.memoryMb).toBeGreaterThan(budget);
          }
        },
      ),
    );
  });

  test("is decided by use: the least recently used goes first, and idle ones before busy ones", () => {
    const model = (key: string, usedAt: number, busy = false) => {
      return { key, memoryMb: 300, usedAt, busy };
    };
    const wanted = { key: "wanted", memoryMb: 300 };
    const resident = [model("old", 1), model("new", 3), model("older, busy", 0, true)];
    expect(planResidency(resident, wanted, 900)).toEqual({ type: "load", unload: ["old"] });
    expect(planResidency(resident, wanted, 700)).toEqual({ type: "load", unload: ["old", "new"] });
    expect(planResidency(resident, wanted, 1200)).toEqual({ type: "load", unload: [] });
  });
});
