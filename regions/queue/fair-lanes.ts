import type { Entry } from "./in-memory-queue.ts";
import { lanes, turns } from "./lanes.ts";
import { PASSES } from "./queue-port.ts";

/** A tenant's part in a lane: where its share stands, in compute-milliseconds of virtual time, and what it has waiting. */
interface Part {
  tenant: string;
  tag: number;
  parked: boolean;
  waiting: Entry[];
}

interface Lane {
  virtualTime: number;
  parts: Map<string, Part>;
  /** Where the shares of tenants that have nothing waiting end. */
  idle: Map<string, number>;
}

export interface TakeTerms {
  max: number;
  nowMs: number;
  maxVersion: number;
  maxCost?: number;
}

/** Jobs of one tenant, and of all, that are looked at and left where they are. */
const PER_TENANT = 4;
const IN_ALL = 32;

/**
 * The fair order of what waits, in memory; common.lua and claim.lua do the same in Redis. Between tenants: start-time fair queueing
 * (P. Goyal, H. M. Vin, H. Cheng, SIGCOMM 1996) by compute-milliseconds.
 */
export function createFairLanes() {
  const all = lanes.map((): Lane => ({ virtualTime: 0, parts: new Map(), idle: new Map() }));
  const running = new Map<string, number>();
  let turn = 0;

  const laneAt = (lane: number) => all[lane - 1]!;
  const count = (lane: Lane) =>
    [...lane.parts.values()].reduce((sum, { waiting }) => sum + waiting.length, 0);

  function leave(lane: Lane, part: Part): void {
    lane.parts.delete(part.tenant);
    if (part.tag > lane.virtualTime) lane.idle.set(part.tenant, part.tag);
  }
  /** What is remembered of idle tenants goes once it makes no difference. A lane where nothing waits begins anew for all. */
  function forgetIdle(lane: Lane): void {
    if (lane.parts.size > 0) {
      for (const [tenant, tag] of lane.idle) if (tag <= lane.virtualTime) lane.idle.delete(tenant);
      return;
    }
    lane.virtualTime = Math.max(lane.virtualTime, ...lane.idle.values());
    lane.idle.clear();
  }

  function take(terms: TakeTerms): Entry[] {
    const { max, nowMs, maxVersion, maxCost } = terms;
    const taken: Entry[] = [];
    const passedOver: { entry: Entry; before: number }[] = [];
    const touched = new Set<Lane>();
    const cursors = new Map<Part, { at: number; looks: number; done: boolean }>();
    let looks = 0;
    let heldBack = false;

    const cursorOf = (part: Part) => {
      const cursor = cursors.get(part) ?? { at: 0, looks: 0, done: false };
      cursors.set(part, cursor);
      return cursor;
    };
    function nextPart(lane: Lane): Part | undefined {
      let best: Part | undefined;
      for (const part of lane.parts.values()) {
        if (part.parked || cursorOf(part).done) continue;
        if (!best || part.tag < best.tag || (part.tag === best.tag && part.tenant < best.tenant)) {
          best = part;
        }
      }
      return best;
    }
    function takeFrom(lane: Lane, part: Part): boolean {
      const cursor = cursorOf(part);
      const leaveIt = () => {
        looks++;
        cursor.at++;
        cursor.looks++;
        if (cursor.looks >= PER_TENANT) cursor.done = true;
      };
      while (!cursor.done && !heldBack && looks < IN_ALL) {
        const entry = part.waiting[cursor.at];
        if (!entry) {
          cursor.done = true;
          return false;
        }
        const cap = entry.spec.tenant?.max_concurrent ?? Infinity;
        if ((entry.deadlineMs ?? Infinity) <= nowMs) leaveIt();
        else if (entry.spec.v > maxVersion) leaveIt();
        else if ((running.get(part.tenant) ?? 0) >= cap) {
          cursor.done = true;
          part.parked = true;
        } else if (maxCost !== undefined && entry.cost > maxCost) {
          const long = nowMs - (entry.passedAtMs ?? nowMs) >= PASSES.forMs;
          if (entry.passes >= PASSES.most || long) heldBack = true;
          else {
            passedOver.push({ entry, before: taken.length });
            leaveIt();
          }
        } else {
          part.waiting.splice(cursor.at, 1);
          taken.push(entry);
          running.set(part.tenant, (running.get(part.tenant) ?? 0) + 1);
          lane.virtualTime = Math.max(lane.virtualTime, part.tag);
          part.tag += entry.cost;
          return true;
        }
      }
      return false;
    }
    function takeOne(): boolean {
      for (const number of turns[turn % turns.length]!) {
        const lane = laneAt(number);
        touched.add(lane);
        for (let part = nextPart(lane); part; part = nextPart(lane)) {
          if (looks >= IN_ALL || heldBack) break;
          if (takeFrom(lane, part)) return true;
        }
      }
      return false;
    }
    while (taken.length < max && takeOne()) turn++;

    for (const lane of touched) {
      for (const part of [...lane.parts.values()]) if (part.waiting.length === 0) leave(lane, part);
      if (taken.length > 0) forgetIdle(lane);
    }
    for (const { entry, before } of passedOver) {
      // Only what came after it and went before it passed it over.
      if (taken.length <= before) continue;
      entry.passes++;
      entry.passedAtMs ??= nowMs;
    }
    return taken;
  }

  return {
    take,

    /** A job begins to wait, or does so again in its old place. */
    add(entry: Entry): void {
      const lane = laneAt(entry.lane);
      const tenant = entry.spec.tenant_id;
      let part = lane.parts.get(tenant);
      if (!part) {
        const tag = Math.max(lane.virtualTime, lane.idle.get(tenant) ?? 0);
        lane.idle.delete(tenant);
        part = { tenant, tag, parked: false, waiting: [] };
        lane.parts.set(tenant, part);
      }
      const after = part.waiting.findIndex(({ seq }) => seq > entry.seq);
      part.waiting.splice(after < 0 ? part.waiting.length : after, 0, entry);
    },

    remove(entry: Entry): void {
      const lane = laneAt(entry.lane);
      const part = lane.parts.get(entry.spec.tenant_id);
      const index = part?.waiting.indexOf(entry) ?? -1;
      if (!part || index < 0) return;
      part.waiting.splice(index, 1);
      if (part.waiting.length > 0) return;
      leave(lane, part);
      forgetIdle(lane);
    },

    /** A run of the tenant has ended; true when the tenant had waited for that. */
    ended(tenant: string): boolean {
      const left = (running.get(tenant) ?? 0) - 1;
      if (left > 0) running.set(tenant, left);
      else running.delete(tenant);
      let freed = false;
      for (const lane of all) {
        const part = lane.parts.get(tenant);
        if (!part?.parked) continue;
        part.parked = false;
        part.tag = Math.max(part.tag, lane.virtualTime);
        freed = true;
      }
      return freed;
    },

    /** About how many jobs go first; as common.lua has it. */
    place(entry: Entry): number {
      const lane = laneAt(entry.lane);
      const part = lane.parts.get(entry.spec.tenant_id)!;
      const rank = part.waiting.indexOf(entry);
      const active = [...lane.parts.values()].filter(({ parked }) => !parked).length;
      const others = Math.min(count(lane) - part.waiting.length, (active - 1) * (rank + 1));
      const above = all.slice(0, entry.lane - 1).reduce((sum, one) => sum + count(one), 0);
      return Math.max(0, rank + others + above);
    },

    isParked: (entry: Entry) => laneAt(entry.lane).parts.get(entry.spec.tenant_id)?.parked ?? false,
  };
}
