import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { keepPrimary } from "../../../regions/primary/keep-primary.ts";
import { IDS, simulateRegions } from "./simulated-regions.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] });
});
afterEach(() => void vi.useRealTimers());

describe("a region's keeper", () => {
  test("stops its primary before anybody else may take over, when it cannot reach the lease", async () => {
    const all = simulateRegions();
    await all.wait(5_000);
    expect(all.writable()).toEqual(["us-east"]);
    all.cut.add("us-east");
    await all.wait(6_500);
    expect(all.of("us-east")).toMatchObject({ role: "stopped", killed: false });
    expect(all.promotions).toEqual([]);
    await all.wait(20_000);
    expect(all.promotions).toHaveLength(1);
    expect(all.writable()).toEqual(all.promotions);
    expect(all.mostAtOnce()).toBe(1);
    await all.end();
  });

  test("builds the old primary anew as a replica when it is back, and leaves the new one where it is", async () => {
    const all = simulateRegions();
    await all.wait(3_000);
    all.cut.add("us-east");
    await all.wait(40_000);
    const [taken] = all.promotions;
    all.cut.clear();
    await all.wait(10_000);
    expect(all.of("us-east")).toMatchObject({ role: "replica", follows: taken });
    expect(all.holder()).toBe(taken);
    expect(all.writable()).toEqual([taken]);
    await all.end();
  });

  test("starts its primary again when the edge was away for everybody, and nobody else is promoted", async () => {
    const all = simulateRegions();
    await all.wait(3_000);
    for (const id of IDS) all.cut.add(id);
    await all.wait(60_000);
    expect(all.writable()).toEqual([]);
    all.cut.clear();
    await all.wait(5_000);
    expect(all.writable()).toEqual(["us-east"]);
    expect(all.promotions).toEqual([]);
    await all.end();
  });

  test("that starts without ever reaching the lease does not leave a primary running", async () => {
    const all = simulateRegions({ agents: false });
    for (const id of IDS) all.cut.add(id);
    await all.wait(10_000);
    expect(all.writable()).toEqual([]);
    await all.end();
  });

  test("does nothing when a pause is shorter than the lease", async () => {
    const all = simulateRegions();
    await all.wait(3_000);
    for (let n = 0; n < 5; n++) {
      all.cut.add("us-east");
      await all.wait(4_000);
      all.cut.clear();
      await all.wait(3_000);
      expect(all.writable()).toEqual(["us-east"]);
    }
    await all.end();
  });

  test.each(["dies", "hangs"])(
    "that %s while its region is cut off leaves no primary behind",
    async (how) => {
      const all = simulateRegions();
      await all.wait(5_000);
      if (how === "dies") all.kill("us-east");
      else all.freeze("us-east", 100_000);
      all.cut.add("us-east");
      await all.wait(12_900);
      expect(all.of("us-east").role).toBe("stopped");
      expect(all.promotions).toEqual([]);
      await all.wait(10_000);
      expect(all.promotions).toHaveLength(1);
      expect(all.mostAtOnce()).toBe(1);
      await all.end();
    },
  );

  test("that is started anew within the permit leaves the primary running", async () => {
    const all = simulateRegions();
    await all.wait(5_000);
    for (let n = 0; n < 5; n++) {
      all.kill("us-east");
      await all.wait(5_000);
      all.revive("us-east");
      await all.wait(5_000);
      expect(all.writable()).toEqual(["us-east"]);
    }
    expect(all.promotions).toEqual([]);
    await all.end();
  });

  test("permits no more than the lease, counted from before it asked", async () => {
    const stop = new AbortController();
    const looked: number[] = [];
    const permits: number[] = [];
    const nothing = async () => undefined;
    const kept = keepPrimary(
      {
        region: "us-east",
        control: {
          async status() {
            looked.push(performance.now());
            return { role: "primary", position: null, follows: null, at: performance.now() };
          },
          permit: async (until) => void permits.push(until),
          stop: nothing,
          start: nothing,
          promote: nothing,
          follow: nothing,
        },
        trimmed: () => null,
        logger: pino({ level: "silent" }),
        sleep: (ms) => new Promise((resolve) => void setTimeout(resolve, ms)),
        async askForOrders() {
          await new Promise((resolve) => void setTimeout(resolve, 1_900));
          return { do: "keep", holder: "us-east", term: 1, lease_ms: 10_000 };
        },
      },
      stop.signal,
    );
    await vi.advanceTimersByTimeAsync(10_000);
    stop.abort();
    await vi.advanceTimersByTimeAsync(5_000);
    await kept;
    expect(permits.length).toBeGreaterThan(1);
    expect(permits).toEqual(looked.slice(0, permits.length).map((at) => at + 10_000));
  });

  test("does not promote on an order that has become old while it stood still", async () => {
    const all = simulateRegions();
    await all.wait(3_000);
    all.cut.add("us-east");
    await all.wait(12_000);
    // Whoever of the two is told to take over first is frozen over it, and the other takes over in its stead.
    while (all.holder() === "us-east") await all.wait(100);
    const [first] = [all.holder()!] as [(typeof IDS)[number]];
    all.freeze(first, 120_000);
    all.cut.clear();
    await all.wait(200_000);
    expect(all.mostAtOnce()).toBe(1);
    expect(all.writable()).toEqual([all.holder()]);
    await all.end();
  });

  test("starts a primary that lost its power, once it is permitted, and not before", async () => {
    const all = simulateRegions();
    await all.wait(3_000);
    all.cutFromEdge.add("us-east");
    all.restart("us-east");
    await all.wait(3_000);
    expect(all.writable()).toEqual([]);
    all.cutFromEdge.clear();
    await all.wait(3_000);
    expect(all.writable()).toEqual(["us-east"]);
    expect(all.promotions).toEqual([]);
    await all.end();
  });
});

test.each(Array.from({ length: 24 }, (_, seed) => seed + 1))(
  "there are never two primaries, in the end there is one, and it has every row that was confirmed (cuts, and keepers that die, hang and come back, of seed %i)",
  async (seed) => {
    let last = seed * 2654435761;
    const random = () => {
      last = (Math.imul(last, 1664525) + 1013904223) >>> 0;
      return last / 2 ** 32;
    };
    let calm = false;
    const late = () => (!calm && random() < 0.03 ? random() * 15_000 : 0);
    const all = simulateRegions({ late });
    const one = () => IDS[Math.floor(random() * IDS.length)]!;
    const cuts = [all.cut, all.cutFromEdge, all.cutFromPeers];
    const mend = () => cuts.forEach((cut) => cut.clear());
    await all.wait(2_000);
    for (let turn = 0; turn < 25; turn++) {
      const what = random();
      const id = one();
      if (what < 0.3) cuts[Math.floor(random() * cuts.length)]!.add(id);
      else if (what < 0.45) cuts.forEach((cut) => cut.delete(id));
      else if (what < 0.55) mend();
      else if (what < 0.7) all.kill(id);
      else if (what < 0.85) all.freeze(id, random() * 40_000);
      else if (what < 0.95) all.revive(id);
      else all.restart(id);
      await all.wait(Math.floor(random() ** 2 * 30_000));
      expect(all.mostAtOnce()).toBe(1);
    }
    mend();
    calm = true;
    for (const id of IDS) all.revive(id);
    await all.wait(180_000);
    expect(all.writable()).toEqual([all.holder()]);
    expect(all.mostAtOnce()).toBe(1);
    expect(all.confirmedRows()).toBeGreaterThan(50);
    expect(all.lostIn(all.writable()[0]!)).toEqual([]);
    await all.end();
  },
);
