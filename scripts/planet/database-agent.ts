import type { Sql } from "postgres";
import type { DatabaseRole } from "../../shared/contracts/primary.ts";
import { readControlFile } from "./control-file.ts";
import { type PostgresCluster, slotOf } from "./postgres-cluster.ts";
import type { Supervisor } from "./supervisor.ts";

export type AgentStatus = {
  role: DatabaseRole;
  position: { timeline: number; lsn: string } | null;
  follows: string | null;
};

/** Runs one region's Postgres for its keeper, as a cloud's interface or an agent on the machine would. */
export type DatabaseAgent = {
  status(): Promise<AgentStatus>;
  stop(): Promise<void>;
  start(): Promise<void>;
  promote(): Promise<void>;
  follow(leader: string): Promise<void>;
  close(): Promise<void>;
};

export function createDatabaseAgent(
  id: string,
  { cluster, supervisor }: { cluster: PostgresCluster; supervisor: Supervisor },
): DatabaseAgent {
  const server = cluster.server(id);
  const find = () => supervisor.find(`${id}-postgres`);
  const spec = () => server.spec(() => cluster.follows(id)?.upstream);
  /** Stopped by its keeper, and not by a disaster, which nobody here mends. */
  let stopped = false;
  let follows = cluster.primary() === id ? null : cluster.primary();
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
  const isDown = () => find()?.state === "down";

  async function stop(): Promise<void> {
    const process = find();
    if (process === undefined || process.state === "down") return;
    await process.stop();
    stopped = true;
  }

  return {
    async status() {
      if (isDown()) {
        if (!stopped) return { role: "away", position: null, follows: null };
        const position = await readControlFile(server.dataDir).catch(() => null);
        return { role: "stopped", position, follows: null };
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
        if (row.replica) return { role: "replica", position, follows };
        return { role: "primary", position, follows: null };
      } catch {
        await forget();
        return { role: "away", position: null, follows: null };
      }
    },
    close: forget,
    stop: () => oneAtATime(stop),
    start: () =>
      oneAtATime(async () => {
        if (!stopped || !isDown()) return;
        await supervisor.start(spec());
        stopped = false;
      }),
    promote: () =>
      oneAtATime(async () => {
        const others = cluster.ids.filter((other) => other !== id);
        await server.promote(others.map(slotOf));
        follows = null;
        await cluster.setPrimary(id);
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
        await stop();
        // Its own log may have gone another way than the new primary's.
        await server.createReplica(primary, upstream, { rebuild: true });
        await supervisor.start(spec());
        stopped = false;
        follows = leader;
      }),
  };
}
