import { pino } from "pino";
import { vi } from "vitest";
import type { DatabaseControl, DatabaseStatus } from "../../../regions/primary/database-control.ts";
import { keepPrimary } from "../../../regions/primary/keep-primary.ts";
import { decidePrimary, noPrimary, type PrimaryState } from "../../../shared/policies/primary.ts";

export const IDS = ["us-east", "eu-west", "ap-south"] as const;
export type Id = (typeof IDS)[number];

interface SimulatedDatabase {
  role: "primary" | "replica" | "stopped";
  follows: Id | null;
  timeline: number;
  /** Its log: the rows it has, by their numbers. */
  rows: number[];
  /** By the agent's own clock. */
  permitEnds: number;
  /** Ended by force: it cannot say how much it has. */
  killed: boolean;
}

interface Keeper {
  id: Id;
  dead: boolean;
  /** Stands still until then, wherever it is. */
  frozenUntil: number;
}

const STEP_MS = 100;
const never = () => new Promise<never>(() => undefined);
const asleep = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms));

/**
 * Three regions: keepers as they run, the lease between them as it is, and databases that are their logs, each with an agent that
 * heeds its permit. Links can be cut, keepers die and stand still. In time that is faked (`vi.useFakeTimers` with `performance`).
 *
 * @param agents false for such as take no permits
 * @param late how long the next call is on its way; whoever called may have given it up when it arrives
 */
export function simulateRegions({
  agents = true,
  late = () => 0,
}: { agents?: boolean; late?: () => number } = {}) {
  let lease: PrimaryState = noPrimary;
  /** From everybody; from the edge alone; from the other databases alone. */
  const cut = new Set<Id>();
  const cutFromEdge = new Set<Id>();
  const cutFromPeers = new Set<Id>();
  const stop = new AbortController();
  const promotions: Id[] = [];
  const confirmed = new Set<number>();
  let lastRow = 0;
  let most = 0;
  const clock = () => performance.now();

  const databases = new Map<Id, SimulatedDatabase>(
    IDS.map((id, index) => [
      id,
      {
        role: index === 0 ? "primary" : "replica",
        follows: index === 0 ? null : IDS[0],
        timeline: 1,
        rows: [],
        permitEnds: clock() + 10_000,
        killed: false,
      },
    ]),
  );
  const of = (id: Id) => databases.get(id)!;
  const linked = (one: Id, other: Id) =>
    ![one, other].some((id) => cut.has(id) || cutFromPeers.has(id));
  const place = ({ timeline, rows }: SimulatedDatabase) => ({
    timeline,
    lsn: `0/${(256 + rows.length * 16).toString(16).toUpperCase()}`,
  });
  const needPermit = (id: Id) => {
    if (agents && clock() >= of(id).permitEnds) throw new Error("not permitted");
  };

  function controlOf(keeper: Keeper): DatabaseControl {
    const { id } = keeper;
    const act = <T>(work: () => T, patienceMs = 900_000) => call(keeper, work, patienceMs);
    return {
      status: () =>
        act((): DatabaseStatus => {
          const database = of(id);
          const { role, follows, killed } = database;
          const position = role === "stopped" && killed ? null : place(database);
          return { role, position, follows, ...(agents ? { at: clock() } : {}) };
        }, 1_500),
      permit: (until) =>
        act(() => void (of(id).permitEnds = Math.max(until, of(id).permitEnds)), 1_500),
      stop: () =>
        act(() => {
          if (of(id).role === "primary") Object.assign(of(id), { role: "stopped", killed: false });
        }),
      start: () =>
        act(() => {
          needPermit(id);
          if (of(id).role === "stopped") of(id).role = "primary";
        }),
      promote: () =>
        act(() => {
          needPermit(id);
          if (of(id).role !== "replica") return;
          promotions.push(id);
          const timeline = of(id).timeline + 1;
          Object.assign(of(id), { role: "primary", follows: null, timeline });
        }),
      follow: (leader) =>
        act(() => {
          const lead = of(leader as Id);
          if (!linked(id, leader as Id) || lead.role === "stopped") throw new Error("unreachable");
          const { timeline, rows } = lead;
          Object.assign(of(id), { role: "replica", follows: leader, timeline, rows: [...rows] });
        }),
    };
  }

  async function whenAwake(keeper: Keeper): Promise<void> {
    if (keeper.dead) await never();
    while (clock() < keeper.frozenUntil) await asleep(STEP_MS);
    if (keeper.dead) await never();
  }

  /** A keeper that stands still does so between any two of its acts; one that is dead does nothing more. */
  async function call<T>(keeper: Keeper, work: () => T, patienceMs: number): Promise<T> {
    await whenAwake(keeper);
    try {
      const ms = late();
      if (ms === 0) return work();
      const done = asleep(ms).then(work);
      done.catch(() => undefined);
      if (ms <= patienceMs) return await done;
      await asleep(patienceMs);
      throw new Error("no answer in time");
    } finally {
      await whenAwake(keeper);
    }
  }

  const keepers = new Map<Id, Keeper>();
  const running = new Map<Id, Promise<void>>();
  function startKeeper(id: Id): void {
    const keeper: Keeper = { id, dead: false, frozenUntil: 0 };
    keepers.set(id, keeper);
    const isCut = () => cut.has(id) || cutFromEdge.has(id);
    const ran = keepPrimary(
      {
        region: id,
        control: controlOf(keeper),
        trimmed: () => null,
        logger: pino({ level: "silent" }),
        sleep: async (ms) => {
          await asleep(ms);
          await whenAwake(keeper);
        },
        askForOrders: (report) => {
          if (isCut()) return Promise.reject(new Error("the edge is away"));
          const decide = () => {
            const decided = decidePrimary(lease, { region: id, report, nowMs: Date.now() });
            lease = decided.state;
            return decided.order;
          };
          return call(keeper, decide, 2_000);
        },
      },
      stop.signal,
    );
    running.set(id, ran);
  }
  for (const id of IDS) startKeeper(id);

  /** Whose database takes writes now: its own region can always reach it. */
  const writable = () => IDS.filter((id) => of(id).role === "primary");

  function writeRows(): void {
    for (const id of writable()) {
      const leader = of(id);
      leader.rows.push(++lastRow);
      for (const other of IDS) {
        const replica = of(other);
        if (replica.role !== "replica" || replica.follows !== id || !linked(id, other)) continue;
        // A log that has gone another way is not gone on with.
        const goesOn = replica.rows.every((row, at) => row === leader.rows[at]);
        if (!goesOn || replica.timeline > leader.timeline) continue;
        Object.assign(replica, { rows: [...leader.rows], timeline: leader.timeline });
        confirmed.add(lastRow);
      }
    }
  }

  return {
    cut,
    cutFromEdge,
    cutFromPeers,
    promotions,
    of,
    holder: () => lease.holder,
    writable,
    mostAtOnce: () => most,
    /** Confirmed rows that a region's database does not have. */
    lostIn: (id: Id) => {
      const has = new Set(of(id).rows);
      return [...confirmed].filter((row) => !has.has(row));
    },
    confirmedRows: () => confirmed.size,
    kill: (id: Id) => void (keepers.get(id)!.dead = true),
    freeze: (id: Id, ms: number) => void (keepers.get(id)!.frozenUntil = clock() + ms),
    /** A new keeper in the place of a dead one. */
    revive(id: Id) {
      if (keepers.get(id)!.dead) startKeeper(id);
    },
    /** The region's machines lose their power for a moment: a primary is held until it is permitted, and does not know where it ended. */
    restart(id: Id) {
      this.kill(id);
      const database = of(id);
      database.permitEnds = Number.NEGATIVE_INFINITY;
      if (database.role === "primary") Object.assign(database, { role: "stopped", killed: true });
      startKeeper(id);
    },
    /** Lets time pass, with a look at each step. */
    async wait(ms: number) {
      for (let passed = 0; passed < ms; passed += STEP_MS) {
        await vi.advanceTimersByTimeAsync(STEP_MS);
        for (const id of writable()) {
          const database = of(id);
          if (!agents || clock() < database.permitEnds) continue;
          Object.assign(database, { role: "stopped", killed: true });
        }
        most = Math.max(most, writable().length);
        writeRows();
      }
    },
    async end() {
      stop.abort();
      await vi.advanceTimersByTimeAsync(120_000);
      await Promise.all(IDS.filter((id) => !keepers.get(id)!.dead).map((id) => running.get(id)!));
    },
  };
}
