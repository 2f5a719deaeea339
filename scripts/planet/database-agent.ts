import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Sql } from "postgres";
import type { DatabaseRole } from "../../shared/contracts/primary.ts";
import { readControlFile } from "./control-file.ts";
import { type PostgresCluster, slotOf } from "./postgres-cluster.ts";
import type { Supervisor } from "./supervisor.ts";

export type AgentStatus = {
  role: DatabaseRole;
  position: { timeline: number; lsn: string } | null;
  follows: string | null;
  /** The agent's clock before it looked. */
  at: number;
};

/**
 * Runs one region's Postgres for its keeper, as a cloud's interface or an agent on the machine would; see
 * regions/primary/database-control.ts. A primary whose permit runs out is down by then, whatever has become of the keeper.
 */
export type DatabaseAgent = {
  status(): Promise<AgentStatus>;
  /** Until that reading of the agent's clock. @throws for one that cannot be this clock's */
  permit(until: number): void;
  /** Permits it for so long from now on: for a start at which nobody else can have the primary. */
  permitFor(ms: number): void;
  isPermitted(): boolean;
  /** Leaves a server that is not running for the keeper to start. */
  hold(): void;
  stop(): Promise<void>;
  start(): Promise<void>;
  promote(): Promise<void>;
  follow(leader: string): Promise<void>;
  close(): Promise<void>;
};

/** No lease is longer: such a permit was reckoned by another clock. */
const LONGEST_PERMIT_MS = 60_000;
const LOOK_EVERY_MS = 100;
/** So long before a permit ends the primary is told to stop in order, then to stop at once, then killed. */
type StopTimes = { inOrderMs: number; atOnceMs: number; byForceMs: number };
const stopTimes: StopTimes = { inOrderMs: 2_500, atOnceMs: 1_200, byForceMs: 600 };

export function createDatabaseAgent(
  id: string,
  {
    cluster,
    supervisor,
    onLapse = () => undefined,
    times = stopTimes,
  }: {
    cluster: PostgresCluster;
    supervisor: Supervisor;
    onLapse?: () => void;
    times?: StopTimes;
  },
): DatabaseAgent {
  const server = cluster.server(id);
  const find = () => supervisor.find(`${id}-postgres`);
  // Begins anywhere: what was read from an agent that ran before must mean nothing to this one.
  const began = randomInt(2 ** 40) - performance.now();
  const clock = () => began + performance.now();
  let permitEnds = Number.NEGATIVE_INFINITY;
  let promoting = false;
  /** Stopped by its keeper or for want of a permit, and not by a disaster, which nobody here mends. */
  let stopped = false;
  let follows = cluster.primary() === id ? null : cluster.primary();
  // What it follows itself, and not what the others take for the primary: it may be told before that is promoted.
  const spec = () =>
    server.spec(() => (follows === null ? undefined : cluster.upstream(id, follows)));
  let steps: Promise<void> = Promise.resolve();
  const oneAtATime = (work: () => Promise<void>): Promise<void> => {
    const step = steps.then(work);
    steps = step.catch(() => undefined);
    return step;
  };
  let sql: Sql | undefined;
  async function forget(): Promise<void> {
    const old = sql;
    sql = undefined;
    await old?.end({ timeout: 0 }).catch(() => undefined);
  }
  const isDown = () => (find()?.state ?? "down") === "down";
  const isPermitted = () => clock() < permitEnds - times.inOrderMs;
  /** Now, or before anybody could look again. */
  const mayWrite = () => !isDown() && (promoting || !server.isStandby());

  async function end(): Promise<void> {
    if (isDown()) return;
    await find()?.stop();
    stopped = true;
  }

  /** Beside the steps, which may take long: whatever they do, the permit's end is the end. */
  async function lapse(): Promise<void> {
    const process = find();
    if (process === undefined) return;
    onLapse();
    const ended = new AbortController();
    const forced = (async () => {
      const until = (ms: number) =>
        sleep(Math.max(0, permitEnds - ms - clock()), undefined, { signal: ended.signal });
      await until(times.atOnceMs);
      process.kill("SIGQUIT");
      await until(times.byForceMs);
      // Its children are no longer of its group, and one that is busy would go on without it.
      await server.killAll();
    })().catch(() => undefined);
    await process.stop();
    ended.abort();
    await forced;
    stopped = true;
  }
  let lapsing: Promise<void> | undefined;
  const watch = setInterval(() => {
    if (isPermitted() || lapsing !== undefined || !mayWrite()) return;
    lapsing = lapse()
      .catch(() => undefined)
      .finally(() => (lapsing = undefined));
  }, LOOK_EVERY_MS).unref();

  function needPermit(): void {
    if (!isPermitted()) throw new Error(`${id} is not permitted to be the primary now`);
  }

  return {
    async status() {
      const at = clock();
      const away = { role: "away", position: null, follows: null, at } as const;
      if (isDown()) {
        if (!stopped) return away;
        // One that was killed does not know itself how far it had come.
        const end = await readControlFile(server.dataDir).catch(() => null);
        return { role: "stopped", position: end, follows: null, at };
      }
      // Kept from one look to the next: the keeper asks every second.
      sql ??= server.connectAsSuperuser();
      try {
        // The timeline of a replica shows in its receiver while that runs, else in what it last settled.
        const [row] = await sql<{ replica: boolean; lsn: string; timeline: number }[]>`
          select pg_is_in_recovery() as replica,
            case when pg_is_in_recovery()
              then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
              else pg_current_wal_flush_lsn() end::text as lsn,
            greatest(
              (select timeline_id from pg_control_checkpoint()),
              (select min_recovery_end_timeline from pg_control_recovery()),
              (select received_tli from pg_stat_wal_receiver),
              case when pg_is_in_recovery() then 1
                else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end
            )::int as timeline`;
        if (row === undefined) throw new Error("no answer");
        const position = { timeline: row.timeline, lsn: row.lsn };
        if (row.replica) return { role: "replica", position, follows, at };
        return { role: "primary", position, follows: null, at };
      } catch {
        await forget();
        return away;
      }
    },
    permit(until) {
      if (until > clock() + LONGEST_PERMIT_MS) throw new Error("a permit of another clock");
      permitEnds = Math.max(permitEnds, until);
    },
    permitFor(ms) {
      permitEnds = clock() + ms;
    },
    isPermitted,
    hold() {
      if (isDown()) stopped = true;
    },
    async close() {
      clearInterval(watch);
      await lapsing;
      await forget();
    },
    stop: () =>
      oneAtATime(async () => {
        if (mayWrite()) await end();
      }),
    start: () =>
      oneAtATime(async () => {
        if (!stopped || !isDown()) return;
        if (!server.isStandby()) {
          needPermit();
          follows = null;
        }
        await supervisor.start(spec());
        stopped = false;
      }),
    promote: () =>
      oneAtATime(async () => {
        needPermit();
        promoting = true;
        try {
          // Before it is so: what is written down must never name one that another has replaced.
          await cluster.setPrimary(id);
          await server.promote(cluster.ids.filter((other) => other !== id).map(slotOf));
          follows = null;
        } finally {
          promoting = false;
        }
      }),
    follow: (leader) =>
      oneAtATime(async () => {
        if (leader === id) throw new Error("a server cannot follow itself");
        const upstream = cluster.upstream(id, leader);
        const primary = cluster.server(leader);
        if (!isDown() && server.isStandby() && (await server.repoint(primary, upstream))) {
          follows = leader;
          return;
        }
        await end();
        // Its own log may have gone another way than the new primary's.
        await server.createReplica(primary, upstream, { rebuild: true });
        follows = leader;
        await supervisor.start(spec());
        stopped = false;
      }),
  };
}
