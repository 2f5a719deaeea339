import { readFileSync } from "node:fs";
import type { Command } from "./scripts.ts";
import type { Redis } from "./redis.ts";

/** A command by its words, the second of which is its key. */
export type RedisCommand = readonly [name: string, key: string, ...words: (string | number)[]];

/**
 * Runs commands on keys of one slot in one step, also in a Redis that has no memory left and refuses whatever else is new: for what
 * makes room in the end. Settles to their answers.
 */
export type WriteAnyway = (...commands: RedisCommand[]) => Promise<unknown[]>;

/** Members or fields of one command, at most: Lua has room for some 8,000 words. */
export const MOST_MEMBERS = 1_000;

export function createWriteAnyway(redis: Redis): WriteAnyway {
  const name = "antiphon_write_anyway";
  const lua = readFileSync(new URL("./write-anyway.lua", import.meta.url), "utf8");
  redis.defineCommand(name, { lua });
  return async (...commands) => {
    const keys = new Set(commands.map(([, key]) => key));
    const words = commands.flatMap((command) => [command.length, ...command]);
    const args = [keys.size, ...keys, ...words].map(String);
    return (await (redis as unknown as Record<string, Command>)[name]!(...args)) as unknown[];
  };
}

/** In parts of at most `size`. */
export function inParts<T>(all: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < all.length; at += size) parts.push(all.slice(at, at + size));
  return parts;
}
