import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import type { ProcessSpec } from "./supervised-process.ts";
import { findProgram } from "./with-parent-death.ts";

export type RedisOptions = {
  name: string;
  /** Where its files lie; they are taken up again when they are there. */
  dir: string;
  port: number;
  password: string;
  logFile: string;
  /** Further lines of its configuration. */
  settings?: readonly string[];
};

/**
 * A Redis server that loses nothing it has answered for: every write is on disk before the answer, nothing is evicted.
 * Ready when it has loaded its files and answers PING.
 */
export function redisServer(options: RedisOptions): ProcessSpec {
  const { name, dir, port, password, logFile, settings = [] } = options;
  return {
    name,
    logFile,
    graceMs: 10_000,
    command() {
      const server = findProgram("redis-server");
      if (server === undefined)
        throw new Error("redis-server is not on the PATH: run `npm start` or install it");
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      const config = join(dir, "redis.conf");
      const lines = configuration(dir, port, password) + settings.join("\n");
      writeFileSync(config, lines, { mode: 0o600 });
      return { command: server, args: [config], cwd: dir };
    },
    ready: async () => {
      const redis = new Redis(redisUrl(port, password), {
        lazyConnect: true,
        retryStrategy: () => null,
        connectTimeout: 2_000,
        commandTimeout: 2_000,
      });
      redis.on("error", () => undefined);
      try {
        await redis.connect();
        return (await redis.ping()) === "PONG";
      } finally {
        redis.disconnect();
      }
    },
  };
}

export function redisUrl(port: number, password: string): string {
  return `redis://:${encodeURIComponent(password)}@127.0.0.1:${port}`;
}

function configuration(dir: string, port: number, password: string): string {
  const quote = (text: string) => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
  return `bind 127.0.0.1
port ${port}
protected-mode yes
requirepass ${quote(password)}
dir ${quote(dir)}
daemonize no
appendonly yes
appendfsync always
save ""
maxmemory-policy noeviction
# Sets are searched by ids of 44 bytes: in a list of fifty that costs several times what it does in a tree.
zset-max-listpack-entries 16
loglevel notice
`;
}
