import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { DatabaseControl, DatabaseStatus } from "../../../regions/primary/database-control.ts";
import { keepPrimary } from "../../../regions/primary/keep-primary.ts";
import { decidePrimary, noPrimary, type PrimaryState } from "../../../shared/policies/primary.ts";

const IDS = ["us-east", "eu-west", "ap-south"] as const;
type Id = (typeof IDS)[number];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] });
});
afterEach(() => void vi.useRealTimers());

/** Three regions with their keepers, the lease between them, and links that can be cut. The databases are told of by their log's length. */
function world() {
  let lease: PrimaryState = noPrimary;
  const cut = new Set<Id>();
  const dead = new Set<Id>();
  const stop = new AbortController();
  const databases = new Map<Id, DatabaseStatus & { lsn: number }>();
  const promotions: Id[] = [];
  const place = (lsn: number, timeline: number) => ({
    timeline,
    lsn: `0/${lsn.toString(16).toUpperCase()}`,
  });
  for (const [index, id] of IDS.entries()) {
    const first = index === 0;
    databases.set(id, {
      role: first ? "primary" : "replica",
      position: place(256, 1),
      lsn: 256,
      follows: first ? null : IDS[0],
    });
  }
  const of = (id: Id) => databases.get(id)!;
  const timelineOf = (id: Id) => of(id).position!.timeline;

  const controlOf = (id: Id): DatabaseControl => {
    const alive = () => {
      if (dead.has(id)) throw new Error("the region is dead");
    };
    return {
      async status() {
        alive();
        return of(id);
      },
      async stop() {
        alive();
        of(id).role = "stopped";
      },
      async start() {
        alive();
        of(id).role = "primary";
      },
      async promote() {
        alive();
        promotions.push(id);
        Object.assign(of(id), {
          role: "primary",
          follows: null,
          position: place(of(id).lsn, timelineOf(id) + 1),
        });
      },
      async follow(leader) {
        alive();
        const lead = of(leader as Id);
        Object.assign(of(id), {
          role: "replica",
          follows: leader,
          lsn: lead.lsn,
          position: lead.position,
        });
      },
    };
  };
  const keepers = IDS.map((region) =>
    keepPrimary(
      {
        region,
        control: controlOf(region),
        trimmed: () => null,
        logger: pino({ level: "silent" }),
        sleep: (ms) => new Promise((resolve) => void setTimeout(resolve, ms)),
        async askForOrders(report) {
          if (cut.has(region) || dead.has(region)) throw new Error("the edge is away");
          const decided = decidePrimary(lease, { region, report, nowMs: Date.now() });
          lease = decided.state;
          return decided.order;
        },
      },
      stop.signal,
    ),
  );
  /** Whose database takes writes now: its own region can always reach it. */
  const writable = () => IDS.filter((id) => of(id).role === "primary" && !dead.has(id));
  let most = 0;
  return {
    cut,
    dead,
    promotions,
    of,
    holder: () => lease.holder,
    writable,
    mostAtOnce: () => most,
    /** Lets time pass, with a look at each step. */
    async wait(ms: number) {
      for (let passed = 0; passed < ms; passed += 100) {
        await vi.advanceTimersByTimeAsync(100);
        most = Math.max(most, writable().length);
        // What is committed reaches the replicas that can be reached.
        for (const id of writable()) {
          const leader = of(id);
          leader.lsn += 16;
          leader.position = place(leader.lsn, leader.position!.timeline);
          for (const other of IDS.filter((one) => of(one).follows === id && !cut.has(one))) {
            if (cut.has(id) || of(other).role !== "replica") continue;
            Object.assign(of(other), { lsn: leader.lsn, position: leader.position });
          }
        }
      }
    },
    async end() {
      stop.abort();
      await vi.advanceTimersByTimeAsync(2_000);
      await Promise.all(keepers);
    },
  };
}

describe("a region's keeper", () => {
  test("stops its primary before anybody else may take over, when it cannot reach the lease", async () => {
    const all = world();
    await all.wait(5_000);
    expect(all.writable()).toEqual(["us-east"]);
    all.cut.add("us-east");
    await all.wait(9_900);
    expect(all.of("us-east").role).toBe("stopped");
    expect(all.promotions).toEqual([]);
    await all.wait(20_000);
    expect(all.promotions).toHaveLength(1);
    expect(all.writable()).toEqual(all.promotions);
    expect(all.mostAtOnce()).toBe(1);
    await all.end();
  });

  test("builds the old primary anew as a replica when it is back, and leaves the new one where it is", async () => {
    const all = world();
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
    const all = world();
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
    const all = world();
    for (const id of IDS) all.cut.add(id);
    await all.wait(10_000);
    expect(all.writable()).toEqual([]);
    await all.end();
  });

  test("does nothing when a pause is shorter than the lease", async () => {
    const all = world();
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
});

test.each(Array.from({ length: 12 }, (_, seed) => seed + 1))(
  "there are never two primaries, and in the end there is one (cuts and deaths of seed %i)",
  async (seed) => {
    let last = seed * 2654435761;
    const random = () => {
      last = (Math.imul(last, 1664525) + 1013904223) >>> 0;
      return last / 2 ** 32;
    };
    const all = world();
    await all.wait(2_000);
    for (let turn = 0; turn < 25; turn++) {
      const id = IDS[Math.floor(random() * IDS.length)]!;
      const what = random();
      if (what < 0.5) all.cut.add(id);
      else if (what < 0.9) all.cut.delete(id);
      else all.cut.clear();
      await all.wait(Math.floor(random() * 25_000));
      expect(all.mostAtOnce()).toBe(1);
    }
    all.cut.clear();
    await all.wait(60_000);
    expect(all.writable()).toEqual([all.holder()]);
    expect(all.mostAtOnce()).toBe(1);
    await all.end();
  },
);
