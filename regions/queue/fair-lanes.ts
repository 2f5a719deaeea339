import type { InMemoryEntry as Entry } from "./in-memory-entry.ts";
import { lanes, turns } from "./lanes.ts";
import { PASSES } from "./queue-port.ts";

interface Lane {
  virtualTime: number;
  /** By virtual start time, then by id. */
  line: Entry[];
  /** Jobs behind their tenant's limit, by place. */
  held: Map<string, Entry[]>;
  /** Jobs that are left to workers of a newer version. */
  newer: Set<Entry>;
  /** Where the share of each tenant ends, in virtual time. */
  shares: Map<string, number>;
}

export interface TakeTerms {
  max: number;
  nowMs: number;
  maxVersion: number;
  maxCost?: number;
}

/** Jobs that are looked at and left where they are. */
const LOOKS = 32;

const byTag = (a: Entry, b: Entry) => a.tag! - b.tag! || (a.spec.id < b.spec.id ? -1 : 1);
const bySeq = (a: Entry, b: Entry) => a.seq - b.seq;
const capOf = ({ spec }: Entry) => spec.tenant?.max_concurrent;

/**
 * The fair order of what waits, in memory; common.lua and claim.lua do the same in Redis. Between tenants: start-time fair queueing
 * (P. Goyal, H. M. Vin, H. Cheng, SIGCOMM 1996) by compute-milliseconds.
 */
export function createFairLanes() {
  const all = lanes.map((): Lane => ({
    virtualTime: 0,
    line: [],
    held: new Map(),
    newer: new Set(),
    shares: new Map(),
  }));
  /** Runs of tenants that have a limit. */
  const running = new Map<string, number>();
  /** Lanes that a job was removed from in this step. */
  const left = new Set<Lane>();
  let turn = 0;

  const laneAt = (lane: number) => all[lane - 1]!;
  const heldIn = (lane: Lane, tenant: string) => lane.held.get(tenant) ?? [];
  const waitingIn = (lane: Lane) =>
    lane.line.length +
    lane.newer.size +
    [...lane.held.values()].reduce((sum, { length }) => sum + length, 0);

  function enter(entry: Entry): void {
    const lane = laneAt(entry.lane);
    if (entry.tag === undefined) {
      const own = lane.shares.get(entry.spec.tenant_id) ?? 0;
      entry.tag = Math.max(lane.virtualTime, own);
      lane.shares.set(entry.spec.tenant_id, entry.tag + entry.cost);
    }
    const after = lane.line.findIndex((other) => byTag(other, entry) > 0);
    lane.line.splice(after < 0 ? lane.line.length : after, 0, entry);
  }
  /** A job that waits comes into its lane, or behind its tenant's limit. */
  function lineUp(entry: Entry): void {
    if (capOf(entry) === undefined) return enter(entry);
    hold(entry);
    letIn(entry.spec.tenant_id);
  }
  function hold(entry: Entry): void {
    const lane = laneAt(entry.lane);
    const held = [...heldIn(lane, entry.spec.tenant_id), entry];
    lane.held.set(entry.spec.tenant_id, held.toSorted(bySeq));
  }
  /** Lets as many of a tenant's held jobs into its lanes as may run beside those that do; true when there were any. */
  function letIn(tenant: string): boolean {
    let some = false;
    for (const lane of all) {
      const held = heldIn(lane, tenant);
      while (held.length > 0) {
        const inLane = lane.line.filter(
          (entry) => entry.spec.tenant_id === tenant && capOf(entry) !== undefined,
        ).length;
        if (inLane + (running.get(tenant) ?? 0) >= capOf(held[0]!)!) break;
        enter(held.shift()!);
        some = true;
      }
      if (heldIn(lane, tenant).length === 0) lane.held.delete(tenant);
    }
    return some;
  }
  /** What is remembered of shares goes once it makes no difference. A lane where nothing waits begins anew for all. */
  function forgetShares(lane: Lane): void {
    if (waitingIn(lane) > 0) {
      for (const [tenant, own] of lane.shares) {
        if (own <= lane.virtualTime) lane.shares.delete(tenant);
      }
      return;
    }
    lane.virtualTime = Math.max(lane.virtualTime, ...lane.shares.values());
    lane.shares.clear();
  }
  /** A job that never ran has not used its share. */
  function leaveLane(entry: Entry): void {
    const lane = laneAt(entry.lane);
    if (!lane.newer.delete(entry)) lane.line.splice(lane.line.indexOf(entry), 1);
    if (entry.attempt > 0) return;
    const own = lane.shares.get(entry.spec.tenant_id) ?? 0;
    lane.shares.set(entry.spec.tenant_id, own - entry.cost);
    delete entry.tag;
  }

  function take({ max, nowMs, maxVersion, maxCost }: TakeTerms): {
    taken: Entry[];
    metOverdue: boolean;
  } {
    for (const lane of all) {
      for (const entry of lane.newer) {
        if (entry.spec.v > maxVersion) continue;
        lane.newer.delete(entry);
        lineUp(entry);
      }
    }
    let metOverdue = false;
    const taken: Entry[] = [];
    const touched = new Set<Lane>();
    const passedOver: { entry: Entry; before: number }[] = [];
    const looked = new Map<Lane, number>();
    let looks = 0;
    let heldBack = false;

    function takeFrom(lane: Lane): boolean {
      while (!heldBack && looks < LOOKS) {
        const at = looked.get(lane) ?? 0;
        const entry = lane.line[at];
        if (!entry) return false;
        const look = () => {
          looks++;
          looked.set(lane, at + 1);
        };
        const tenant = entry.spec.tenant_id;
        const cap = capOf(entry);
        if ((entry.deadlineMs ?? Infinity) <= nowMs) {
          metOverdue = true;
          look();
        } else if (entry.spec.v > maxVersion) {
          // Out of the way: there may be any number of them, and of others behind.
          lane.line.splice(at, 1);
          lane.newer.add(entry);
          if (cap !== undefined) letIn(tenant);
        } else if (cap !== undefined && (running.get(tenant) ?? 0) >= cap) {
          leaveLane(entry);
          hold(entry);
          touched.add(lane);
        } else if (maxCost !== undefined && entry.cost > maxCost) {
          const long = nowMs - (entry.passedAtMs ?? nowMs) >= PASSES.forMs;
          if (entry.passes >= PASSES.most || long) heldBack = true;
          else {
            look();
            passedOver.push({ entry, before: taken.length });
          }
        } else {
          lane.line.splice(at, 1);
          touched.add(lane);
          lane.virtualTime = Math.max(lane.virtualTime, entry.tag!);
          if (cap !== undefined) running.set(tenant, (running.get(tenant) ?? 0) + 1);
          taken.push(entry);
          return true;
        }
      }
      return false;
    }
    while (taken.length < max && turns[turn % turns.length]!.some((n) => takeFrom(laneAt(n)))) {
      turn++;
    }
    for (const lane of touched) forgetShares(lane);
    for (const { entry, before } of passedOver) {
      // Only what came after it and went before it passed it over.
      if (taken.length <= before) continue;
      entry.passes++;
      entry.passedAtMs ??= nowMs;
    }
    return { taken, metOverdue };
  }

  return {
    take,

    /** A job begins to wait, or does so again in its old place. */
    add: lineUp,

    remove(entry: Entry): void {
      const lane = laneAt(entry.lane);
      const held = heldIn(lane, entry.spec.tenant_id);
      if (held.includes(entry)) {
        held.splice(held.indexOf(entry), 1);
        if (held.length === 0) lane.held.delete(entry.spec.tenant_id);
        left.add(lane);
        return;
      }
      leaveLane(entry);
      left.add(lane);
      if (capOf(entry) !== undefined) letIn(entry.spec.tenant_id);
    },

    /** At the end of a step that removed a job, for another may have come in its place. */
    settle(): void {
      for (const lane of left) forgetShares(lane);
      left.clear();
    },

    /** A run has ended; true when others of its tenant had waited for that. */
    ended(entry: Entry): boolean {
      if (capOf(entry) === undefined) return false;
      const tenant = entry.spec.tenant_id;
      const left = (running.get(tenant) ?? 0) - 1;
      if (left > 0) running.set(tenant, left);
      else running.delete(tenant);
      return letIn(tenant);
    },

    /** Jobs that go first: those before it in its lane, and all of the lanes above. */
    place(entry: Entry): number {
      const lane = laneAt(entry.lane);
      const held = heldIn(lane, entry.spec.tenant_id).indexOf(entry);
      const own = held < 0 ? Math.max(0, lane.line.indexOf(entry)) : lane.line.length + held;
      return all.slice(0, entry.lane - 1).reduce((sum, one) => sum + waitingIn(one), own);
    },

    /** Jobs that are left to workers of a newer version. */
    newer: () => all.reduce((sum, lane) => sum + lane.newer.size, 0),

    isHeld: (entry: Entry) => heldIn(laneAt(entry.lane), entry.spec.tenant_id).includes(entry),
  };
}
