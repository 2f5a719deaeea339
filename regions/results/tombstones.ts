import type { DeletionOrder, JobIdentity } from "../../shared/contracts/deletions.ts";
import { hashUser } from "../../shared/signing/hash-user.ts";
import type { Redis } from "./redis.ts";

/**
 * How long a region remembers what was deleted: longer than any message, run or replica can be late. The database and the ledger
 * remember for longer.
 */
export const TOMBSTONE_KEPT_MS = 90 * 24 * 3_600_000;

/** One hash for each tenant: `all` and `user:<hash>` up to when (Unix ms), `job:<id>`. */
const keyOf = (tenantId: string) => `antiphon:tombstones:${tenantId}`;
/** `<tenant> <field>` by when it was written last. */
const INDEX = "antiphon:tombstones";

/** What was deleted in this region, as its writers and readers ask for it. */
export interface Tombstones {
  write(order: DeletionOrder): Promise<void>;
  /** Adds jobs that were found to be a deletion's. */
  add(tenantId: string, jobIds: readonly string[]): Promise<void>;
  /** Whether a job was deleted. @throws while Redis is away: what cannot be told apart must not be shown, or written */
  covers(tenantId: string, job: JobIdentity): Promise<boolean>;
  /** Drops those past their time. */
  prune(): Promise<void>;
}

/** @param now Unix ms */
export function createTombstones(redis: Redis, now: () => number = Date.now): Tombstones {
  async function put(tenantId: string, fields: ReadonlyMap<string, number>): Promise<void> {
    if (fields.size === 0) return;
    const step = redis.multi();
    for (const [field, before] of fields) {
      step.hset(keyOf(tenantId), field, before);
      step.zadd(INDEX, now(), `${tenantId} ${field}`);
    }
    for (const [error] of (await step.exec()) ?? []) if (error) throw error;
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

    async prune() {
      const old = await redis.zrangebyscore(
        INDEX,
        "-inf",
        now() - TOMBSTONE_KEPT_MS,
        "LIMIT",
        0,
        1000,
      );
      for (const member of old) {
        const [tenantId, field] = member.split(" ") as [string, string];
        await redis.hdel(keyOf(tenantId), field);
        await redis.zrem(INDEX, member);
      }
    },
  };
}
