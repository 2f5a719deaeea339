import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../scripts/planet/ports.ts";
import { redisServer, redisUrl } from "../../scripts/planet/redis-server.ts";
import { createSupervisor } from "../../scripts/planet/supervisor.ts";

export interface TestRedis {
  url: string;
  stop(): Promise<void>;
  /** Starts it again, on the same port with the same files. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** A throwaway Redis on a free port, set up as the planet's. */
export async function startRedis(): Promise<TestRedis> {
  const folder = await mkdtemp(join(tmpdir(), "antiphon-redis-"));
  const supervisor = createSupervisor({ stateDir: folder });
  const port = await freePort();
  const password = "test";
  const spec = redisServer({
    name: "redis",
    dir: join(folder, "redis"),
    port,
    password,
    logFile: join(folder, "log"),
  });
  const start = async () => void (await supervisor.start(spec));
  const close = async () => {
    await supervisor.stopAll();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await start();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    url: redisUrl(port, password),
    stop: async () => supervisor.find("redis")?.stop(),
    start,
    close,
  };
}
