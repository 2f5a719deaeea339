import { join } from "node:path";
import { expect, test } from "vitest";
import { createAgentControl } from "../../../regions/primary/agent-control.ts";
import { compareWal } from "../../../shared/policies/primary.ts";
import {
  agentToken,
  createDatabaseAgentsServer,
} from "../../../scripts/planet/database-agents-server.ts";
import { createDatabaseAgent } from "../../../scripts/planet/database-agent.ts";
import { freePort } from "../../../scripts/planet/ports.ts";
import { createPostgresCluster } from "../../../scripts/planet/postgres-cluster.ts";
import { createPostgresServer } from "../../../scripts/planet/postgres-server.ts";
import { createBench } from "../planet/bench-of-parts.ts";

const passwords = { superuser: "super-1", services: "services-2", replicator: "replicator-3" };
const controlToken = "a-control-token-that-is-long-enough";

test("a primary is handed over without a lost row, and comes back as a replica of the new one", async () => {
  await using bench = await createBench();
  const ids = ["us-east", "eu-west"] as const;
  const servers = new Map(
    await Promise.all(
      ids.map(async (id) => {
        const port = await freePort();
        const dir = join(bench.dir, id, "data");
        const logFile = bench.log(id);
        const made = createPostgresServer({
          name: `${id}-postgres`,
          dir,
          port,
          passwords,
          logFile,
        });
        return [id as string, made] as const;
      }),
    ),
  );
  const promoted: string[] = [];
  const cluster = createPostgresCluster({
    servers,
    primary: "us-east",
    portTo: (_, to) => servers.get(to)!.port,
    onPrimary: async (id) => void promoted.push(id),
  });
  const { supervisor } = bench;
  const [east, west] = ids.map((id) => cluster.server(id));
  await east!.initPrimary();
  await supervisor.start(east!.spec());
  await east!.ensureDatabase();
  const follows = cluster.follows("eu-west")!;
  await west!.createReplica(east!, follows.upstream);
  await supervisor.start(west!.spec(() => cluster.follows("eu-west")?.upstream));

  const agents = new Map(
    ids.map((id) => [id as string, createDatabaseAgent(id, { cluster, supervisor })]),
  );
  const port = await freePort();
  const server = await createDatabaseAgentsServer({ agents, controlToken, port });
  bench.onClose(async () => {
    await server.close();
    await Promise.all([...agents.values()].map((agent) => agent.close()));
  });
  const controlOf = (id: string, token = agentToken(controlToken, id)) =>
    createAgentControl({ url: `http://127.0.0.1:${port}/${id}`, token });
  const { signal } = new AbortController();
  const [old, next] = ids.map((id) => controlOf(id));

  // One region's keeper has no power over another's database.
  const foreign = controlOf("us-east", agentToken(controlToken, "eu-west"));
  await expect(foreign.stop(signal)).rejects.toThrow("401");

  expect(await old!.status(signal)).toMatchObject({ role: "primary", follows: null });
  expect(await next!.status(signal)).toMatchObject({ role: "replica", follows: "us-east" });

  const write = async (id: string, word: string) => {
    const sql = cluster.server(id).connectAsSuperuser("antiphon");
    try {
      await sql`create table if not exists words (word text)`;
      await sql`insert into words values (${word})`;
    } finally {
      await sql.end();
    }
  };
  const words = async (id: string) => {
    const sql = cluster.server(id).connectAsSuperuser("antiphon");
    try {
      return (await sql<{ word: string }[]>`select word from words`).map(({ word }) => word);
    } finally {
      await sql.end();
    }
  };
  await write("us-east", "before");
  await old!.stop(signal);
  const stopped = await old!.status(signal);
  expect(stopped.role).toBe("stopped");
  // An ordered stop sends all of its log: the replica has the checkpoint that ended it.
  const received = await next!.status(signal);
  expect(compareWal(received.position!, stopped.position!)).toBeGreaterThanOrEqual(0);

  await next!.promote(signal);
  expect(promoted).toEqual(["eu-west"]);
  const now = await next!.status(signal);
  expect(now).toMatchObject({ role: "primary", follows: null });
  expect(now.position!.timeline).toBe(2);
  expect(await words("eu-west")).toEqual(["before"]);
  await write("eu-west", "after");

  await old!.follow("eu-west", signal);
  expect(await old!.status(signal)).toMatchObject({ role: "replica", follows: "eu-west" });
  await expect.poll(() => words("us-east"), { timeout: 20_000 }).toEqual(["before", "after"]);

  // What a disaster took down is not started by an agent.
  await supervisor.find("us-east-postgres")!.takeDown();
  expect((await old!.status(signal)).role).toBe("away");
  await old!.start(signal);
  expect((await old!.status(signal)).role).toBe("away");
}, 60_000);
