import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Redis } from "ioredis";
import { withJobRows } from "../ops/job-row.ts";
import { lanes, turns } from "./lanes.ts";
import { queueKeys } from "./queue-keys.ts";
import { PASSES, QueueFullError, QueueUnreachableError } from "./queue-port.ts";

/** Steps that bring in something new: a Redis without memory refuses them, and still does all others, which make room. */
const taking = ["submit", "submit-finished"] as const;
const others = [
  "claim",
  "renew",
  "progress",
  "finish",
  "release",
  "due",
  "reap",
  "end-waiting",
  "cancel",
  "state",
  "load",
  "report-load",
  "workers",
  "discard-dead",
  "mark-replayed",
] as const;
export type ScriptName = (typeof taking)[number] | (typeof others)[number];

const read = (name: string) => readFileSync(new URL(`./${name}.lua`, import.meta.url), "utf8");

/** `args`: those after now. */
export type RunScript = (name: ScriptName, args: readonly (string | number)[]) => Promise<unknown>;

/** Redis has to read what it is sent. */
const COMMENTS = /^ *--.*\n/gm;

const list = (items: readonly string[]) => `{ ${items.join(", ")} }`;
const tables = [
  `local LANES = ${list(lanes.map(({ name }) => `'${name}'`))}`,
  `local TURNS = ${list(turns.map((order) => `'${order.join("")}'`))}`,
  `local PASSES = { most = ${PASSES.most}, for_ms = ${PASSES.forMs} }`,
].join("\n");

/** Replies of a Redis that did nothing: it is a replica, is loading its files, cannot write to its disk, or is cut off. */
const DID_NOTHING = /^(READONLY|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|CLUSTERDOWN|TRYAGAIN)\b/;

/**
 * The queue's Lua scripts, run by their hash, and sent whole only to a Redis that does not know them yet.
 * @param now Unix ms, or "" for Redis's own clock
 */
export function createRedisScripts(redis: Redis, now: () => number | ""): RunScript {
  const common = read("common");
  const scripts = new Map(
    [...taking, ...others].map((name) => {
      const flags = (taking as readonly string[]).includes(name) ? "" : " flags=allow-oom";
      const lua = withJobRows(`${tables}\n${common}\n${read(name)}`).replaceAll(COMMENTS, "");
      const source = `#!lua${flags}\n${lua}`;
      return [name, { source, sha: createHash("sha1").update(source).digest("hex") }];
    }),
  );
  return async (name, args) => {
    const { source, sha } = scripts.get(name)!;
    if (redis.status !== "ready") throw new QueueUnreachableError();
    const at = now();
    try {
      try {
        return await redis.evalsha(sha, 1, queueKeys.prefix, at, ...args);
      } catch (error) {
        if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error;
        return await redis.eval(source, 1, queueKeys.prefix, at, ...args);
      }
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (error.message.startsWith("OOM")) throw new QueueFullError({ cause: error });
      if (DID_NOTHING.test(error.message)) throw new QueueUnreachableError({ cause: error });
      throw error;
    }
  };
}
