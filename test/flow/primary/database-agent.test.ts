import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAgentControl } from "../../../regions/primary/agent-control.ts";
import type { DatabaseControl } from "../../../regions/primary/database-control.ts";
import { compareWal } from "../../../shared/policies/primary.ts";
import {
  agentToken,
  createDatabaseAgentsServer,
} from "../../../scripts/planet/database-agents-server.ts";
import { createDatabaseAgent } from "../../../scripts/planet/database-agent.ts";
import { processesIn } from "../../../scripts/planet/process-identity.ts";
import { freePort } from "../../../scripts/planet/ports.ts";
import { createPostgresCluster } from "../../../scripts/planet/postgres-cluster.ts";
import { createPostgresServer } from "../../../scripts/planet/postgres-server.ts";
import { type Bench, createBench } from "../planet/bench-of-parts.ts";

const passwords = { superuser: "super-1", services: "services-2", replicator: "replicator-3" };
const controlToken = "a-control-token-that-is-long-enough";

/** More than a machine takes that stalls for seconds: what is tested is the order of things. */
const TIMES = { inOrderMs: 9_000, atOnceMs: 5_000, byForceMs: 3_000 };

/** A keeper soon gives up such a word, and says it again in its next round. */
const patiently =
  <Said extends unknown[], Heard>(say: (...said: Said) => Promise<Heard>) =>
  async (...said: Said): Promise<Heard> => {
    for (;;) {
      try {
        return await say(...said);
      } catch (error) {
        if (!(error instanceof DOMException) || error.name !== "TimeoutError") throw error;
      }
    }
  };

/** A primary and a replica, each with its agent behind HTTP. The caller disposes of the bench. */
async function twoRegions(bench: Bench) {
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
    ids.map((id) => [id as string, createDatabaseAgent(id, { cluster, supervisor, times: TIMES })]),
  );
  agents.get("us-east")!.permitFor(LONG_MS);
  const port = await freePort();
  const server = await createDatabaseAgentsServer({ agents, controlToken, port });
  bench.onClose(async () => {
    await server.close();
    await Promise.all([...agents.values()].map((agent) => agent.close()));
  });
  const controlOf = (id: string, token = agentToken(controlToken, id)): DatabaseControl => {
    const control = createAgentControl({ url: `http://127.0.0.1:${port}/${id}`, token });
    const { status, permit: allow } = control;
    return { ...control, status: patiently(status), permit: patiently(allow) };
  };
  const [old, next] = ids.map((id) => controlOf(id));
  return { cluster, promoted, agents, controlOf, old: old!, next: next! };
}

const { signal } = new AbortController();
/** As a keeper does: counted from a status that was had before. */
async function permit(control: DatabaseControl, ms: number): Promise<void> {
  const { at } = await control.status(signal);
  await control.permit(at! + ms, signal);
}
/** No permit runs out while a test looks. */
const LONG_MS = 59_000;

// One pair for all: each test leaves the primary in us-east, but for the last.
let bench: Bench;
let all: Awaited<ReturnType<typeof twoRegions>>;
beforeAll(async () => {
  bench = await createBench();
  all = await twoRegions(bench);
}, 60_000);
afterAll(() => bench[Symbol.asyncDispose]());

describe("a primary whose keeper says nothing more", () => {
  test("is down by the end of its permit, also for those who are connected; a replica runs on", async () => {
    const { cluster, agents, old, next } = all;
    const held = cluster.server("us-east").connectAsSuperuser("antiphon");
    const closed = new Promise<void>((resolve) => {
      bench.onClose(() => held.end({ timeout: 0 }));
      void held`create table words (word text)`.then(async () => {
        // It is in the midst of a statement all the while.
        await held`select pg_sleep(60)`.catch(() => undefined);
        resolve();
      });
    });
    const agent = agents.get("us-east")!;
    const permitMs = TIMES.inOrderMs + 1_500;
    agent.permitFor(permitMs);
    const { at } = await agent.status();
    await closed;
    await expect.poll(async () => (await old.status(signal)).role).toBe("stopped");
    const stopped = await old.status(signal);
    expect(stopped.at!).toBeLessThan(at + permitMs);
    // In order: it can say where its log ended, and the replica has all of it.
    const received = await next.status(signal);
    expect(received.role).toBe("replica");
    expect(compareWal(received.position!, stopped.position!)).toBeGreaterThanOrEqual(0);
    await expect(held`insert into words values ('late')`).rejects.toThrow();

    // It is started by a keeper that may, and by no other.
    await expect(old.start(signal)).rejects.toThrow("500");
    await permit(old, TIMES.inOrderMs - 500);
    await expect(old.start(signal)).rejects.toThrow("500");
    await permit(old, LONG_MS);
    await old.start(signal);
    expect((await old.status(signal)).role).toBe("primary");
  }, 60_000);

  test("is killed with all its processes when it does not heed the order to stop", async () => {
    const { cluster, agents, old } = all;
    const { dataDir } = cluster.server("us-east");
    const home = await realpath(dataDir);
    const pids = processesIn(home);
    expect(pids.length).toBeGreaterThan(3);
    // Each stands still, as on a disk that does not answer.
    for (const pid of pids) process.kill(pid, "SIGSTOP");
    const agent = agents.get("us-east")!;
    agent.permitFor(TIMES.byForceMs + 500);
    await expect.poll(() => processesIn(home), { timeout: 20_000 }).toEqual([]);
    await expect.poll(async () => (await old.status(signal)).role).toBe("stopped");
    // It does not know how much it had written: nobody may rely on its last checkpoint.
    expect((await old.status(signal)).position).toBeNull();
    await permit(old, LONG_MS);
    await old.start(signal);
    expect((await old.status(signal)).role).toBe("primary");
  }, 60_000);
});

test("a primary is handed over without a lost row, and comes back as a replica of the new one", async () => {
  const { cluster, promoted, controlOf, old, next } = all;
  await permit(old, LONG_MS);
  // One region's keeper has no power over another's database.
  const foreign = controlOf("us-east", agentToken(controlToken, "eu-west"));
  await expect(foreign.stop(signal)).rejects.toThrow("401");

  expect(await old.status(signal)).toMatchObject({ role: "primary", follows: null });
  expect(await next.status(signal)).toMatchObject({ role: "replica", follows: "us-east" });

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
  // It was killed and started again: the replica has to be connected for the ordered stop to reach it.
  await expect.poll(() => words("eu-west").catch(() => [])).toEqual(["before"]);
  await old.stop(signal);
  const stopped = await old.status(signal);
  expect(stopped.role).toBe("stopped");
  // An ordered stop sends all of its log: the replica has the checkpoint that ended it.
  const received = await next.status(signal);
  expect(compareWal(received.position!, stopped.position!)).toBeGreaterThanOrEqual(0);

  await expect(next.promote(signal)).rejects.toThrow("500");
  expect(await next.status(signal)).toMatchObject({ role: "replica" });
  await permit(next, LONG_MS);
  await next.promote(signal);
  expect(promoted).toEqual(["eu-west"]);
  const now = await next.status(signal);
  expect(now).toMatchObject({ role: "primary", follows: null });
  expect(now.position!.timeline).toBe(2);
  expect(await words("eu-west")).toEqual(["before"]);
  await write("eu-west", "after");

  await old.follow("eu-west", signal);
  expect(await old.status(signal)).toMatchObject({ role: "replica", follows: "eu-west" });
  await expect.poll(() => words("us-east"), { timeout: 20_000 }).toEqual(["before", "after"]);

  // Its keeper's order to stop a primary may come when it is none any more.
  await old.stop(signal);
  expect((await old.status(signal)).role).toBe("replica");

  // What a disaster took down is not started by an agent.
  await bench.supervisor.find("us-east-postgres")!.takeDown();
  expect((await old.status(signal)).role).toBe("away");
  await old.start(signal);
  expect((await old.status(signal)).role).toBe("away");
}, 60_000);
