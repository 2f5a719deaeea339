import type { DeletionOrder, JobIdentity } from "../../shared/contracts/deletions.ts";
import { hashUser } from "../../shared/signing/hash-user.ts";
import type { Redis } from "./redis.ts";
import { define } from "./scripts.ts";
import { createWriteAnyway, inParts, MOST_MEMBERS } from "./write-anyway.ts";

/**
 * How long a region remembers what was deleted: longer than any message, run, replica or stored upload can be late. The database
 * remembers for as long as it could have rows.
 */
export const TOMBSTONE_KEPT_MS = 90 * 24 * 3_600_000;

/** One hash for each tenant: `all` and `user:<hash>` up to when (Unix ms), `job:<id>`. */
const keyOf = (tenantId: string) => `antiphon:tombstones:${tenantId}`;
const PRUNED_AT_ONCE = 500;
const PAGE = 1_000;
/** What an order says of when it was asked for is the edge's clock. */
const CLOCKS_DIFFER_MS = 24 * 3_600_000;
/** `<tenant> <field>` by when it was written last. */
const INDEX = "antiphon:tombstones";

/** What was deleted in this region, as its writers and readers ask for it. */
export interface Tombstones {
  write(order: DeletionOrder): Promise<void>;
  /** Adds jobs that were found to be a deletion's. */
  add(tenantId: string, jobIds: readonly string[]): Promise<void>;
  /** Whether a job was deleted. @throws while Redis is away: what cannot be told apart must not be shown, or written */
  covers(tenantId: string, job: JobIdentity): Promise<boolean>;
  /** All jobs that it remembers by their ids, those of one page together. */
  jobs(): AsyncGenerator<{ tenantId: string; id: string }[]>;
  /** Drops those past their time, a bounded number at a time. Settles to how many there were. */
  prune(): Promise<number>;
}

/** @param now Unix ms */
export function createTombstones(redis: Redis, now: () => number = Date.now): Tombstones {
  const dropOld = define(redis, "drop-old", 1);
  const writeAnyway = createWriteAnyway(redis);

  /** Not in one step, since a tenant's hash and the index lie in two slots; whoever has an order writes both again until both are there. */
  async function put(tenantId: string, fields: ReadonlyMap<string, number>): Promise<void> {
    for (const part of inParts([...fields], MOST_MEMBERS)) {
      const scored = part.flatMap(([field]) => [now(), `${tenantId} ${field}`]);
      await writeAnyway(["ZADD", INDEX, ...scored]);
      await writeAnyway(["HSET", keyOf(tenantId), ...part.flat()]);
    }
  }

  return {
    async write({ tenant_id, scope, requested_at, jobs }) {
      const before = Date.parse(requested_at);
      const fields = new Map(jobs.map(({ id }) => [`job:${id}`, before]));
      if ("job_id" in scope) fields.set(`job:${scope.job_id}`, before);
      const wide =
        "all" in scope
          ? "all"
          : "user_id" in scope
            ? `user:${await hashUser(tenant_id, scope.user_id)}`
            : undefined;
      if (wide !== undefined) {
        // An order that comes late must not shorten a newer one.
        const there = Number((await redis.hget(keyOf(tenant_id), wide)) ?? 0);
        fields.set(wide, Math.max(before, there));
      }
      await put(tenant_id, fields);
    },

    add: (tenantId, jobIds) => put(tenantId, new Map(jobIds.map((id) => [`job:${id}`, now()]))),

    async covers(tenantId, { id, createdAtMs, userId }) {
      const user = userId ? [`user:${await hashUser(tenantId, userId)}`] : [];
      const [job, ...wide] = await redis.hmget(keyOf(tenantId), `job:${id}`, "all", ...user);
      return job !== null && job !== undefined
        ? true
        : wide.some((before) => before !== null && createdAtMs <= Number(before));
    },

    async *jobs() {
      // By time, not by place: what goes meanwhile must not hide what comes after it.
      let from = "-inf";
      /** Told already, of that time. */
      let told = new Set<string>();
      for (;;) {
        const limit = PAGE + told.size;
        const bounds = ["WITHSCORES", "LIMIT", 0, limit] as const;
        const answer = await redis.zrangebyscore(INDEX, from, "+inf", ...bounds);
        const read = answer.flatMap((member, at) =>
          at % 2 === 0 ? [{ member, score: answer[at + 1]! }] : [],
        );
        yield read.flatMap(({ member }) => {
          const [tenantId, id] = member.split(" job:") as [string, string?];
          return id === undefined || told.has(member) ? [] : [{ tenantId, id }];
        });
        if (read.length < limit) return;
        const last = read.at(-1)!.score;
        const alike = read.filter(({ score }) => score === last).map(({ member }) => member);
        told = new Set(last === from ? [...told, ...alike] : alike);
        from = last;
      }
    },

    async prune() {
      const cutoff = now() - TOMBSTONE_KEPT_MS;
      let pruned = 0;
      for (;;) {
        const old = await redis.zrangebyscore(INDEX, "-inf", cutoff, "LIMIT", 0, PRUNED_AT_ONCE);
        for (const [tenantId, members] of Map.groupBy(old, (each) => each.split(" ")[0]!)) {
          const fields = members.map((member) => member.slice(tenantId.length + 1));
          await dropOld(keyOf(tenantId), String(cutoff + CLOCKS_DIFFER_MS), ...fields);
        }
        if (old.length > 0) await redis.zrem(INDEX, ...old);
        pruned += old.length;
        if (old.length < PRUNED_AT_ONCE) return pruned;
      }
    },
  };
}
