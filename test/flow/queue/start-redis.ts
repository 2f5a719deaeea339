import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { freePort } from "../../../scripts/planet/ports.ts";

export interface RunningRedis {
  url: string;
  /** A connection of the test's own. */
  client: Redis;
  process: ChildProcess;
  close(): Promise<void>;
}

/** A Redis server of its own on a free port, with every write on disk before its answer, as in production. */
export async function startRedis(): Promise<RunningRedis> {
  const folder = await mkdtemp(join(tmpdir(), "antiphon-redis-"));
  const port = await freePort();
  const settings = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];
  const server = spawn(
    "redis-server",
    ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, ...settings],
    { stdio: "ignore" },
  );
  const exited = once(server, "exit");
  const client = new Redis(port, "127.0.0.1", { retryStrategy: () => 20 });
  client.on("error", () => undefined);
  await client.ping();
  return {
    url: `redis://127.0.0.1:${port}`,
    client,
    process: server,
    async close() {
      client.disconnect();
      server.kill("SIGKILL");
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
