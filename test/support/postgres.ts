import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../scripts/planet/ports.ts";
import { createPostgresServer, type PostgresServer } from "../../scripts/planet/postgres-server.ts";
import { createSupervisor } from "../../scripts/planet/supervisor.ts";
import { waitFor } from "../../scripts/planet/wait-for.ts";

export interface TestServer {
  server: PostgresServer;
  url: string;
  stop(): Promise<void>;
  /** Starts it again, on the same port. */
  start(): Promise<void>;
}

export interface TestCluster {
  primary: TestServer;
  /** A streaming replica; absent unless asked for. */
  replica: TestServer | undefined;
  /** All hosts, the replica first, so that taking the first one blindly shows. */
  clusterUrl: string;
  close(): Promise<void>;
}

/** A replica answers before it has reached its primary; what is confirmed by a replica waits for that. */
async function untilFollowed(primary: PostgresServer): Promise<void> {
  const sql = primary.connectAsSuperuser();
  try {
    const isFollowed = async () =>
      (await sql`select from pg_stat_replication where state = 'streaming'`).length > 0;
    await waitFor(isFollowed, { what: "the replica to follow the primary" });
  } finally {
    await sql.end();
  }
}

/** A throwaway Postgres with the empty database `antiphon`, on a free port, with a replica when asked for. */
export async function startPostgres({ replica = false } = {}): Promise<TestCluster> {
  const folder = await mkdtemp(join(tmpdir(), "antiphon-postgres-"));
  const supervisor = createSupervisor({ stateDir: folder });
  const passwords = { superuser: "superuser", services: "services", replicator: "replicator" };
  const make = async (name: string) =>
    createPostgresServer({
      name,
      dir: join(folder, name),
      port: await freePort(),
      passwords,
      logFile: join(folder, `${name}.log`),
    });

  async function close(): Promise<void> {
    await supervisor.stopAll();
    await rm(folder, { recursive: true, force: true });
  }

  try {
    const primary = await make("primary");
    await primary.initPrimary();
    const upstream = { host: "127.0.0.1", port: primary.port, region: "replica", slot: "replica" };
    const run = (
      server: PostgresServer,
      name: string,
      spec: ReturnType<PostgresServer["spec"]>,
    ): TestServer => ({
      server,
      url: server.url(),
      stop: async () => supervisor.find(name)?.stop(),
      start: async () => void (await supervisor.start(spec)),
    });
    const first = run(primary, "primary", primary.spec());
    await first.start();
    await primary.ensureDatabase();
    let second: TestServer | undefined;
    if (replica) {
      const server = await make("replica");
      await server.createReplica(primary, upstream);
      second = run(
        server,
        "replica",
        server.spec(() => upstream),
      );
      await second.start();
      await untilFollowed(primary);
    }
    const hosts = [...(second ? [second.server.port] : []), primary.port].map(
      (port) => `127.0.0.1:${port}`,
    );
    return {
      primary: first,
      replica: second,
      clusterUrl: `postgres://antiphon:services@${hosts.join(",")}/antiphon`,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
