import type { Redis } from "ioredis";
import { QueueUnsafeError } from "./queue-port.ts";

/**
 * Sees that a Redis evicts nothing, and (`onDisk`) has every write on disk before it answers. Where a provider forbids CONFIG, INFO
 * says the first, and only that there is an append-only file of the second.
 * @throws QueueUnsafeError
 */
export async function checkSafety(redis: Redis, { onDisk }: { onDisk: boolean }): Promise<void> {
  const settings = await readSettings(redis);
  const policy = settings.get("maxmemory-policy");
  if (policy !== undefined && policy !== "noeviction") {
    throw new QueueUnsafeError(`maxmemory-policy is ${policy}, and has to be noeviction`);
  }
  if (!onDisk) return;
  if (settings.get("appendonly") === "no") {
    throw new QueueUnsafeError("appendonly is no, and has to be yes");
  }
  const fsync = settings.get("appendfsync");
  if (fsync !== undefined && fsync !== "always") {
    throw new QueueUnsafeError(`appendfsync is ${fsync}, and has to be always`);
  }
}

async function readSettings(redis: Redis): Promise<Map<string, string>> {
  try {
    const found = (await redis.config(
      "GET",
      "maxmemory-policy",
      "appendonly",
      "appendfsync",
    )) as unknown as string[];
    return new Map(
      Array.from({ length: found.length / 2 }, (_, n) => [found[2 * n]!, found[2 * n + 1]!]),
    );
  } catch (error) {
    if (!(error instanceof Error) || !/^(NOPERM|ERR)\b/.test(error.message)) throw error;
    const info = await redis.info("everything");
    const line = (name: string) => new RegExp(`^${name}:(\\S+)`, "m").exec(info)?.[1];
    const settings = new Map<string, string>();
    const policy = line("maxmemory_policy");
    if (policy !== undefined) settings.set("maxmemory-policy", policy);
    const file = line("aof_enabled");
    if (file !== undefined) settings.set("appendonly", file === "1" ? "yes" : "no");
    return settings;
  }
}
