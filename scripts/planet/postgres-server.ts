import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import postgres, { type Sql } from "postgres";
import { baseBackup } from "./base-backup.ts";
import { postgresAccount } from "./postgres-account.ts";
import { postgresHome } from "./postgres-binaries.ts";
import {
  DATABASE,
  pgHbaConf,
  type PostgresPasswords,
  postgresqlConf,
  REPLICATOR,
  SERVICES,
  SUPERUSER,
  type Upstream,
} from "./postgres-settings.ts";
import { processesIn } from "./process-identity.ts";
import { runToEnd } from "./run-to-end.ts";
import type { ProcessSpec } from "./supervised-process.ts";
import { waitFor } from "./wait-for.ts";

export type PostgresOptions = {
  name: string;
  /** Its data folder; taken up again when it is there. */
  dir: string;
  port: number;
  passwords: PostgresPasswords;
  logFile: string;
};

/** One Postgres server. It is made first (initPrimary or createReplica), and then run by a supervisor from `spec`. */
export type PostgresServer = {
  readonly port: number;
  /** The data folder really in use. */
  readonly dataDir: string;
  exists(): boolean;
  /** Whether it would start as a replica. */
  isStandby(): boolean;
  /** Makes the data folder of a new cluster, if there is none yet. */
  initPrimary(): Promise<void>;
  /** Makes roles and database on a running primary, if they are not there yet. */
  ensureDatabase(): Promise<void>;
  /**
   * Makes the data folder a copy of a running primary's, as a replica of it; a folder that is there goes on being
   * used unless the primary no longer keeps the WAL that it would need.
   * @param upstream where the replica reaches the primary from now on
   */
  createReplica(
    primary: PostgresServer,
    upstream: Upstream,
    options?: { rebuild?: boolean },
  ): Promise<void>;
  /** What to supervise; asked at each start for where a replica reaches its primary. */
  spec(upstream?: () => Upstream | undefined): ProcessSpec;
  /** Makes a replica that runs the primary, once it has replayed what it received; `slots` are kept for those that follow it. */
  promote(slots: readonly string[]): Promise<void>;
  /** Has a replica that runs follow another primary, without a restart. Settles to whether it receives from there in time. */
  repoint(primary: PostgresServer, upstream: Upstream): Promise<boolean>;
  /** Kills whatever runs on its data folder, whoever started it. Where there is no /proc, what it was started as has to be killed. */
  killAll(): Promise<void>;
  /** A superuser's client with one connection, which knows no arrays; the caller ends it. */
  connectAsSuperuser(database?: string): Sql;
  /** The services' URL, straight to this server. */
  url(): string;
};

export function createPostgresServer(options: PostgresOptions): PostgresServer {
  const { name, port, passwords, logFile } = options;
  const account = postgresAccount(postgresHome());
  const dir = account.placeOf(options.dir);
  const exists = () => existsSync(join(dir, "PG_VERSION"));
  const isStandby = () => existsSync(join(dir, "standby.signal"));

  function connectAsSuperuser(database = "postgres"): Sql {
    return postgres({
      host: "127.0.0.1",
      port,
      database,
      username: SUPERUSER,
      password: passwords.superuser,
      max: 1,
      connect_timeout: 5,
      // A question of the client's own: where its connection is lost, nobody catches that.
      fetch_types: false,
      onnotice: () => undefined,
    });
  }

  /** Makes the data folder beside its place and moves it there when it is whole: a start broken off leaves none. */
  async function build(make: (fresh: string) => Promise<void>): Promise<void> {
    const fresh = `${dir}.new-${randomUUID()}`;
    await mkdir(dirname(dir), { recursive: true });
    await mkdir(fresh, { mode: 0o700 });
    account.own(fresh);
    try {
      await make(fresh);
      account.own(fresh);
      await rm(dir, { recursive: true, force: true });
      await rename(fresh, dir);
    } finally {
      await rm(fresh, { recursive: true, force: true });
    }
  }

  async function put(file: string, text: string): Promise<void> {
    // Renamed into place: the folder belongs to another account, whose links must not be followed.
    const fresh = join(dir, `.${file}.${randomUUID()}`);
    await writeFile(fresh, text, { mode: 0o600, flag: "wx" });
    account.own(fresh);
    await rename(fresh, join(dir, file));
  }

  async function keepsWal(primary: PostgresServer, slot: string): Promise<boolean> {
    const sql = primary.connectAsSuperuser();
    try {
      const [row] = await sql<{ wal_status: string | null }[]>`
        select wal_status from pg_replication_slots where slot_name = ${slot}`;
      return row !== undefined && row.wal_status !== null && row.wal_status !== "lost";
    } finally {
      await sql.end();
    }
  }

  return {
    port,
    dataDir: dir,
    exists,
    isStandby,
    async initPrimary() {
      if (exists()) return;
      await build(async (fresh) => {
        const passwordFile = join(dirname(dir), `.${name}-${randomUUID()}`);
        await writeFile(passwordFile, `${passwords.superuser}\n`, { mode: 0o600, flag: "wx" });
        account.own(passwordFile);
        try {
          const flags = [
            `--pgdata=${fresh}`,
            `--username=${SUPERUSER}`,
            `--pwfile=${passwordFile}`,
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
          ];
          await runToEnd(account.plan("initdb", fresh, flags));
        } finally {
          await rm(passwordFile, { force: true });
        }
      });
    },
    async ensureDatabase() {
      const sql = connectAsSuperuser();
      try {
        const roles = await sql<{ rolname: string }[]>`select rolname from pg_roles`;
        const has = new Set(roles.map(({ rolname }) => rolname));
        const literal = (text: string) => `'${text.replaceAll("'", "''")}'`;
        if (!has.has(SERVICES)) {
          await sql.unsafe(`create role ${SERVICES} login password ${literal(passwords.services)}`);
        }
        // The batch writer waits until a replica has replayed; to see how far one is takes this membership.
        await sql.unsafe(`grant pg_monitor to ${SERVICES}`);
        if (!has.has(REPLICATOR)) {
          await sql.unsafe(
            `create role ${REPLICATOR} login replication password ${literal(passwords.replicator)}`,
          );
        }
        const [database] = await sql`select 1 from pg_database where datname = ${DATABASE}`;
        if (database === undefined)
          await sql.unsafe(`create database ${DATABASE} owner ${SERVICES}`);
      } finally {
        await sql.end();
      }
    },
    async createReplica(primary, { slot, region }, { rebuild = false } = {}) {
      if (!rebuild && exists() && isStandby() && (await keepsWal(primary, slot))) return;
      const sql = primary.connectAsSuperuser();
      try {
        await sql`select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = ${slot}`;
        await sql`select pg_create_physical_replication_slot(${slot}, true)`;
        await build(async (fresh) => {
          await baseBackup(sql, primary.dataDir, fresh, `replica ${region}`);
          await writeFile(join(fresh, "standby.signal"), "", { mode: 0o600 });
        });
      } finally {
        await sql.end();
      }
    },
    async promote(slots) {
      const sql = connectAsSuperuser();
      try {
        const [row] = await sql<{ done: boolean }[]>`
          select case when pg_is_in_recovery() then pg_promote(true, 60) else true end as done`;
        if (row?.done !== true) throw new Error(`${name} was not promoted within a minute`);
        for (const slot of slots) await ensureSlot(sql, slot);
      } finally {
        await sql.end();
      }
    },
    async repoint(primary, upstream) {
      const there = primary.connectAsSuperuser();
      try {
        await ensureSlot(there, upstream.slot);
      } finally {
        await there.end();
      }
      await put("postgresql.conf", postgresqlConf(port, passwords, upstream));
      const sql = connectAsSuperuser();
      try {
        await sql`select pg_reload_conf()`;
        return await waitFor(
          async () => {
            const [row] = await sql<{ status: string; sender_port: number }[]>`
              select status, sender_port from pg_stat_wal_receiver`;
            return row?.status === "streaming" && row.sender_port === upstream.port;
          },
          { what: `${name} to follow`, timeoutMs: 15_000, everyMs: 200 },
        ).catch(() => false);
      } finally {
        await sql.end();
      }
    },
    async killAll() {
      const home = await realpath(dir);
      for (const pid of processesIn(home)) kill(pid, "SIGKILL");
    },
    spec: (upstream) => ({
      name,
      logFile,
      stopSignal: "SIGINT",
      graceMs: 15_000,
      async command() {
        await endOrphans(dir);
        await put("postgresql.conf", postgresqlConf(port, passwords, upstream?.()));
        await put("pg_hba.conf", pgHbaConf);
        return {
          ...account.plan("postgres", dir, ["-D", dir]),
          env: { LC_ALL: "C", TZ: "UTC" },
          cwd: "/",
        };
      },
      async ready() {
        const sql = connectAsSuperuser();
        try {
          const rows = await sql`select 1`;
          return rows.length === 1;
        } finally {
          await sql.end({ timeout: 1 });
        }
      },
    }),
    connectAsSuperuser,
    url: () =>
      `postgres://${SERVICES}:${encodeURIComponent(passwords.services)}@127.0.0.1:${port}/${DATABASE}`,
  };
}

async function ensureSlot(sql: Sql, slot: string): Promise<void> {
  const [found] = await sql`select 1 from pg_replication_slots where slot_name = ${slot}`;
  if (found === undefined) await sql`select pg_create_physical_replication_slot(${slot}, true)`;
}

/**
 * A postmaster that was killed leaves its lock file, and may leave backends for a moment. They are waited for and ended
 * before the file goes: a second server beside them would ruin the data.
 */
async function endOrphans(dir: string): Promise<void> {
  const lock = join(dir, "postmaster.pid");
  if (process.platform !== "linux" || !existsSync(lock)) return;
  const home = await realpath(dir);
  const started = Date.now();
  await waitFor(
    async () => {
      const left = processesIn(home);
      if (left.length === 0) return true;
      const postmaster = Number((await readFile(lock, "utf8").catch(() => "")).split("\n")[0]);
      const overdue = Date.now() - started > 3_000;
      for (const pid of left) {
        if (overdue) kill(pid, "SIGKILL");
        else if (pid === postmaster) kill(pid, "SIGQUIT");
      }
      return false;
    },
    { what: `the processes left in ${dir} to end`, timeoutMs: 10_000, everyMs: 100 },
  );
  await rm(lock, { force: true });
}

/** One that has ended meanwhile is what was wanted. */
function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
