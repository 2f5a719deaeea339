import { describe, expect, test } from "vitest";
import type { PrimaryOrder, PrimaryReport } from "../../shared/contracts/primary.ts";
import {
  cannotTakeOver,
  compareWal,
  decidePrimary,
  defaultTimes,
  noPrimary,
  type PrimaryState,
} from "../../shared/policies/primary.ts";

const at = (lsn: string, timeline = 1) => ({ timeline, lsn });
const primary = (lsn = "0/100"): PrimaryReport => ({
  role: "primary",
  position: at(lsn),
  trimmed: null,
});
const replica = (lsn = "0/100", trimmed: string | null = null): PrimaryReport => ({
  role: "replica",
  position: at(lsn),
  trimmed: trimmed === null ? null : at(trimmed),
});
const { leaseMs, marginMs, freshMs, promotionMs, handoverMs } = defaultTimes;

/** A lease, its clock, and regions that report. */
function lease({ automatic = true } = {}) {
  let state: PrimaryState = noPrimary;
  let nowMs = 1_000_000;
  const heard: Record<string, number | undefined> = {};
  return {
    get state() {
      return state;
    },
    wait: (ms: number) => void (nowMs += ms),
    handOver: (to: string) => void (state = { ...state, handover: { to, sinceMs: nowMs } }),
    report(region: string, said: PrimaryReport): Omit<PrimaryOrder, "at_ms"> {
      const report = { after_ms: heard[region] ?? null, ...said };
      const decided = decidePrimary(state, { region, report, nowMs }, { automatic });
      state = decided.state;
      const { at_ms, ...order } = decided.order;
      heard[region] = at_ms;
      return order;
    },
    /** What a region was answered last. */
    heard: (region: string) => heard[region] ?? null,
    why: (region: string) => cannotTakeOver(state, region, nowMs),
  };
}

/** With us-east as the primary of term 1, and two replicas. */
function running(options?: { automatic?: boolean }) {
  const all = lease(options);
  expect(all.report("us-east", primary())).toMatchObject({ do: "keep", term: 1 });
  expect(all.report("eu-west", replica()).do).toBe("follow");
  expect(all.report("ap-south", replica()).do).toBe("follow");
  return all;
}

/** The primary is silent from now on, for so long that its lease and the margin are over. */
function lose(
  all: ReturnType<typeof lease>,
  lsns: Record<string, string> = { "eu-west": "0/100", "ap-south": "0/100" },
) {
  for (let waited = 0; waited < leaseMs + marginMs; waited += 1000) {
    for (const [region, lsn] of Object.entries(lsns)) {
      expect(all.report(region, replica(lsn)).do).toBe("follow");
    }
    all.wait(1000);
  }
}

describe("the primary's lease", () => {
  test("goes to the first primary that asks, and to no replica", () => {
    const all = lease();
    expect(all.report("eu-west", replica())).toEqual({
      do: "wait",
      holder: null,
      term: 0,
      lease_ms: 0,
    });
    expect(all.report("us-east", primary())).toEqual({
      do: "keep",
      holder: "us-east",
      term: 1,
      lease_ms: leaseMs,
    });
  });

  test("is kept by asking, and nobody else gets it meanwhile", () => {
    const all = running();
    for (let n = 0; n < 50; n++) {
      all.wait(leaseMs - 1);
      expect(all.report("us-east", primary())).toMatchObject({ do: "keep", lease_ms: leaseMs });
      expect(all.report("eu-west", replica())).toMatchObject({ do: "follow", holder: "us-east" });
    }
    expect(all.state.term).toBe(1);
  });

  test("is waited out, margin and all, before another takes over; then there is a new term", () => {
    const all = running();
    lose(all);
    expect(all.report("eu-west", replica())).toEqual({
      do: "take_over",
      holder: "eu-west",
      term: 2,
      lease_ms: leaseMs,
    });
    expect(all.report("ap-south", replica())).toMatchObject({ do: "follow", holder: "eu-west" });
    expect(all.report("eu-west", primary("0/110"))).toMatchObject({ do: "keep", term: 2 });
    expect(all.state.history.map(({ term, holder }) => [term, holder])).toEqual([
      [1, "us-east"],
      [2, "eu-west"],
    ]);
  });

  test("is lost by an old primary that comes back: it follows", () => {
    const all = running();
    lose(all);
    all.report("ap-south", replica());
    expect(all.report("us-east", primary("0/999"))).toMatchObject({
      do: "follow",
      holder: "ap-south",
      lease_ms: 0,
    });
  });

  test("is lost by a holder whose database is empty, or older than it was", () => {
    for (const role of ["primary", "stopped"] as const) {
      const all = running();
      all.report("us-east", primary("0/200"));
      for (let waited = 0; waited < leaseMs + marginMs; waited += 1000) {
        expect(all.report("us-east", { ...primary("0/80"), role }).do).toBe("follow");
        all.report("ap-south", replica());
        expect(all.report("eu-west", replica()).do).toBe("follow");
        all.wait(1000);
      }
      expect(all.report("eu-west", replica()).do).toBe("take_over");
    }
  });

  test("is lost by a holder that stays stopped, and comes back to it where nobody takes over", () => {
    const all = running({ automatic: false });
    const stopped = { ...primary(), role: "stopped" } as const;
    let longestMs = 0;
    for (let waited = 0, sinceMs = 0; waited <= 3 * promotionMs; waited += 1000) {
      all.wait(1000);
      sinceMs = all.report("us-east", stopped).lease_ms === leaseMs ? 0 : sinceMs + 1000;
      longestMs = Math.max(longestMs, sinceMs);
    }
    expect(longestMs).toBeGreaterThan(leaseMs + marginMs);
    expect(longestMs).toBeLessThan(promotionMs);
  });

  test("goes to a first one that was stopped for want of it", () => {
    const all = lease();
    expect(all.report("us-east", { ...primary(), role: "stopped" })).toMatchObject({ do: "keep" });
    expect(all.state.holder).toBe("us-east");
  });

  test("stays with a holder that stopped itself and comes back before anybody took over", () => {
    const all = running({ automatic: false });
    lose(all);
    expect(all.report("us-east", { ...primary(), role: "stopped" })).toMatchObject({
      do: "keep",
      term: 1,
    });
  });

  test("runs out while the holder's database is away, although its keeper reports", () => {
    const all = running();
    for (let waited = 0; waited < leaseMs + marginMs; waited += 1000) {
      expect(all.report("us-east", { role: "away", position: null, trimmed: null }).do).toBe(
        "keep",
      );
      expect(all.report("eu-west", replica()).do).toBe("follow");
      all.report("ap-south", replica());
      all.wait(1000);
    }
    expect(all.report("eu-west", replica()).do).toBe("take_over");
  });

  test("goes to nobody by itself where an operator is to decide", () => {
    const all = running({ automatic: false });
    lose(all);
    expect(all.report("eu-west", replica()).do).toBe("follow");
    all.handOver("ap-south");
    expect(all.report("eu-west", replica()).do).toBe("follow");
    expect(all.report("ap-south", replica()).do).toBe("take_over");
  });

  test("goes on to the next when whoever took over does not become the primary", () => {
    const all = running();
    lose(all);
    expect(all.report("eu-west", replica()).do).toBe("take_over");
    let last: PrimaryOrder["do"] = "take_over";
    for (let waited = 0; waited <= promotionMs + leaseMs + marginMs; waited += 1000) {
      last = all.report("eu-west", replica()).do;
      if (all.report("ap-south", replica()).do === "take_over") break;
      all.wait(1000);
    }
    expect(last).toBe("follow");
    expect(all.state).toMatchObject({ holder: "ap-south", term: 3 });
  });
});

test("after a silence of everybody the holder is waited for before another takes over", () => {
  const all = running();
  all.wait(3_600_000);
  for (let waited = 0; waited < leaseMs + marginMs; waited += 1000) {
    expect(all.report("eu-west", replica()).do).toBe("follow");
    expect(all.why("eu-west")).toContain("watched");
    all.wait(1000);
  }
  expect(all.report("us-east", primary())).toMatchObject({ do: "keep", term: 1 });
});

describe("a replica is refused that", () => {
  test("has less of the log than another that can be reached", () => {
    const all = running();
    lose(all, { "eu-west": "0/100", "ap-south": "0/180" });
    expect(all.report("eu-west", replica("0/100")).do).toBe("follow");
    expect(all.why("eu-west")).toContain("ap-south has more");
    expect(all.report("ap-south", replica("0/180")).do).toBe("take_over");
  });

  test("is all that is heard of, unless an operator asks for it", () => {
    const all = running();
    // The third went silent with the primary: it may alone have what was confirmed last.
    lose(all, { "eu-west": "0/100" });
    for (let waited = 0; waited <= freshMs; waited += 1000) {
      all.report("eu-west", replica("0/100"));
      all.wait(1000);
    }
    expect(all.report("eu-west", replica("0/100")).do).toBe("follow");
    expect(all.why("eu-west")).toBe("ap-south has not said what it has since the lease ended");
    all.handOver("eu-west");
    expect(all.report("eu-west", replica("0/100")).do).toBe("take_over");
  });

  test("has as much as another had while the primary could still write", () => {
    const all = running();
    for (let waited = 0; waited < leaseMs; waited += 1000) {
      all.report("eu-west", replica("0/100"));
      all.report("ap-south", replica("0/100"));
      all.wait(1000);
    }
    // What ap-south says now it may have looked at a moment before the lease ended.
    all.report("ap-south", replica("0/100"));
    for (let waited = 0; waited <= marginMs; waited += 1000) {
      expect(all.report("eu-west", replica("0/100")).do).toBe("follow");
      all.wait(1000);
    }
    expect(all.why("eu-west")).toContain("ap-south has not said what it has");
    expect(all.report("ap-south", replica("0/180")).do).toBe("take_over");
  });

  test("is compared with a report that was on its way for long", () => {
    const all = running();
    const late = { ...replica("0/100"), after_ms: all.heard("ap-south") };
    lose(all, { "eu-west": "0/100", "ap-south": "0/180" });
    all.report("ap-south", late);
    expect(all.report("eu-west", replica("0/100")).do).toBe("follow");
    expect(all.why("eu-west")).toContain("ap-south has not said what it has");
  });

  test("lacks what an outbox has let go of, whoever said so and however long ago", () => {
    const all = running();
    all.report("us-east", { ...primary("0/200"), trimmed: at("0/150") });
    all.report("us-east", primary("0/200"));
    lose(all);
    expect(all.report("eu-west", replica("0/14F")).do).toBe("follow");
    expect(all.why("eu-west")).toContain("outbox of us-east");
    expect(all.report("eu-west", replica("0/150")).do).toBe("take_over");
  });
});

describe("handed over", () => {
  test("it goes to the one that has everything, at once, after the old primary has stopped", () => {
    const all = running();
    all.handOver("ap-south");
    expect(all.report("ap-south", replica()).do).toBe("follow");
    expect(all.report("us-east", primary("0/200")).do).toBe("hand_over");
    // It still runs: the lease is not given away.
    expect(all.report("ap-south", replica("0/200")).do).toBe("follow");
    const stopped = { role: "stopped", position: at("0/220"), trimmed: null } as const;
    expect(all.report("us-east", stopped).do).toBe("hand_over");
    expect(all.report("ap-south", replica("0/21F")).do).toBe("follow");
    expect(all.report("eu-west", replica("0/300")).do).toBe("follow");
    all.wait(freshMs + 1);
    expect(all.report("ap-south", replica("0/220"))).toMatchObject({ do: "take_over", term: 2 });
    expect(all.report("us-east", stopped)).toMatchObject({ do: "follow", holder: "ap-south" });
  });

  test("it stays where a report of long ago says that the old primary had stopped", () => {
    const all = running();
    const stopped = { role: "stopped", position: at("0/180"), trimmed: null } as const;
    const late = { ...stopped, after_ms: all.heard("us-east") };
    all.report("us-east", primary("0/180"));
    all.handOver("ap-south");
    all.report("us-east", late);
    expect(all.report("ap-south", replica("0/180")).do).toBe("follow");
  });

  test("an old primary that was killed over it is started again: it cannot say how much there is to have", () => {
    const all = running();
    all.handOver("ap-south");
    expect(all.report("us-east", primary("0/200")).do).toBe("hand_over");
    expect(all.report("us-east", { role: "stopped", position: null, trimmed: null }).do).toBe(
      "keep",
    );
    expect(all.report("ap-south", replica("0/1FF")).do).toBe("follow");
    expect(all.report("us-east", primary("0/220")).do).toBe("hand_over");
  });

  test("nothing stops while the next one is not there to take it", () => {
    const all = running();
    all.wait(freshMs + 1);
    all.handOver("ap-south");
    expect(all.report("us-east", primary()).do).toBe("keep");
  });

  test("it comes back to the old primary when the next one never has everything", () => {
    const all = running();
    all.handOver("ap-south");
    all.report("us-east", primary());
    all.report("us-east", { role: "stopped", position: at("0/220"), trimmed: null });
    all.wait(handoverMs + 1);
    expect(
      all.report("us-east", { role: "stopped", position: at("0/220"), trimmed: null }),
    ).toMatchObject({ do: "keep", term: 1 });
  });
});

test("places in the log are compared by timeline, then by number and not by text", () => {
  expect(compareWal(at("0/F000000"), at("0/10000000"))).toBeLessThan(0);
  expect(compareWal(at("F/0"), at("10/0"))).toBeLessThan(0);
  expect(compareWal(at("1/0"), at("0/1", 2))).toBeLessThan(0);
  expect(compareWal(at("A/1"), at("A/1"))).toBe(0);
});
