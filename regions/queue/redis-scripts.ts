import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Redis } from "ioredis";
import { QueueUnreachableError } from "./queue-port.ts";

const names = [
  "submit",
  "claim",
  "renew",
  "progress",
  "finish",
  "release",
  "expired",
  "reap",
  "state",
] as const;
export type ScriptName = (typeof names)[number];

const read = (name: string) => readFileSync(new URL(`./${name}.lua`, import.meta.url), "utf8");

export type RunScript = (
  name: ScriptName,
  keys: readonly string[],
  args: readonly (string | number)[],
) => Promise<unknown>;

/** The queue's Lua scripts, run by their hash, and sent whole only to a Redis that does not know them yet. */
export function createRedisScripts(redis: Redis): RunScript {
  const common = read("common");
  const scripts = new Map(
    names.map((name) => {
      const source = `${common}\n${read(name)}`;
      return [name, { source, sha: createHash("sha1").update(source).digest("hex") }];
    }),
  );
  return async (name, keys, args) => {
    const { source, sha } = scripts.get(name)!;
    if (redis.status !== "ready") throw new QueueUnreachableError();
    try {
      return await redis.evalsha(sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error;
      return redis.eval(source, keys.length, ...keys, ...args);
    }
  };
}
