import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
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

export interface TestRedisOptions {
  /** A cluster of one, which holds all slots and refuses whatever touches two of them in one step. */
  cluster?: boolean;
}

/** A throwaway Redis on a free port, set up as the planet's. */
export async function startRedis({ cluster = false }: TestRedisOptions = {}): Promise<TestRedis> {
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
    settings: cluster ? ["cluster-enabled yes", `cluster-port ${await freePort()}`] : [],
  });
  const start = async () => void (await supervisor.start(spec));
  const close = async () => {
    await supervisor.stopAll();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await start();
    if (cluster) await takeAllSlots(redisUrl(port, password));
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

/** Until the client is connected, however often it has to try; one without a queue of its own fails what it is asked before. */
export async function untilReady(redis: Redis): Promise<void> {
  if (redis.status === "ready") return;
  await new Promise<void>((resolve) => void redis.once("ready", () => resolve()));
}

async function takeAllSlots(url: string): Promise<void> {
  const redis = new Redis(url);
  try {
    await redis.call("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
    // It answers for its slots once it has seen that they are its own.
    while (!String(await redis.cluster("INFO")).includes("cluster_state:ok")) await sleep(10);
  } finally {
    redis.disconnect();
  }
}
