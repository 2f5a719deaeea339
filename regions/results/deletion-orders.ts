import {
  DeletedJob,
  DeletionOrder,
  StoreReport,
  type DeletionState,
} from "../../shared/contracts/deletions.ts";
import type { Redis } from "./redis.ts";
import { TOMBSTONE_KEPT_MS, type Tombstones } from "./tombstones.ts";

const keys = {
  /** Orders by id, as long as there is something to do for them. */
  orders: "{antiphon-deletions}:orders",
  /** Their ids by when (Unix ms). */
  due: "{antiphon-deletions}:due",
  /** How far one is: `<store>.<kind>` counts, `done.<store>`, `done`, and in `sweeps` how often it was looked after since. */
  state: (id: string) => `{antiphon-deletions}:state:${id}`,
  /** Jobs that were found for it: their rows may be gone when their objects' turn comes. */
  found: (id: string) => `{antiphon-deletions}:found:${id}`,
};
const STORES = StoreReport.shape.store.options;
type Store = StoreReport["store"];

/** The orders to delete that this region has, on disk: what was begun goes on after a crash. */
export interface DeletionOrders {
  /** Takes an order, once, its tombstone first; settles to how far it is. */
  take(order: DeletionOrder): Promise<DeletionState>;
  /** One that is due; it comes again after `patienceMs` unless it is put off or closed. */
  next(patienceMs: number): Promise<DeletionOrder | undefined>;
  addFound(id: string, jobs: readonly DeletedJob[]): Promise<void>;
  found(id: string): Promise<DeletedJob[]>;
  count(id: string, store: Store, removed: Record<string, number>): Promise<void>;
  storeDone(id: string, store: Store): Promise<void>;
  isStoreDone(id: string, store: Store): Promise<boolean>;
  /** Everything is done, but for what may yet come late: puts it off. Settles to how often that was. */
  allDone(id: string): Promise<number>;
  putOff(id: string, ms: number): Promise<void>;
  /** Nothing more is to be done for it; how it ended stays known. */
  close(id: string): Promise<void>;
}

export function createDeletionOrders(
  redis: Redis,
  tombstones: Pick<Tombstones, "write" | "add">,
  now: () => number = Date.now,
): DeletionOrders {
  const iso = () => new Date(now()).toISOString();

  async function stateOf(id: string): Promise<DeletionState> {
    const fields = await redis.hgetall(keys.state(id));
    const stores = STORES.flatMap((store) => {
      const done_at = fields[`done.${store}`];
      if (done_at === undefined) return [];
      const removed = Object.fromEntries(
        Object.entries(fields)
          .filter(([name]) => name.startsWith(`${store}.`))
          .map(([name, count]) => [name.slice(store.length + 1), Number(count)]),
      );
      return [{ store, removed, done_at }];
    });
    return { done_at: fields["done"] ?? null, stores };
  }

  return {
    async take(order) {
      if ((await redis.exists(keys.state(order.id))) === 0) {
        await tombstones.write(order);
        const step = redis.multi();
        step.hset(keys.state(order.id), "taken", iso());
        step.pexpire(keys.state(order.id), TOMBSTONE_KEPT_MS);
        step.hset(keys.orders, order.id, JSON.stringify(order));
        step.zadd(keys.due, now(), order.id);
        for (const [error] of (await step.exec()) ?? []) if (error) throw error;
      }
      return stateOf(order.id);
    },

    async next(patienceMs) {
      const [id] = await redis.zrangebyscore(keys.due, "-inf", now(), "LIMIT", 0, 1);
      if (id === undefined) return undefined;
      await redis.zadd(keys.due, "XX", now() + patienceMs, id);
      const text = await redis.hget(keys.orders, id);
      return text === null ? undefined : DeletionOrder.parse(JSON.parse(text));
    },

    async addFound(id, jobs) {
      if (jobs.length === 0) return;
      const order = DeletionOrder.parse(JSON.parse((await redis.hget(keys.orders, id)) ?? "null"));
      await tombstones.add(
        order.tenant_id,
        jobs.map((job) => job.id),
      );
      await redis.sadd(keys.found(id), ...jobs.map((job) => JSON.stringify(job)));
    },

    async found(id) {
      const members = await redis.smembers(keys.found(id));
      return members.map((text) => DeletedJob.parse(JSON.parse(text)));
    },

    async count(id, store, removed) {
      for (const [kind, number] of Object.entries(removed)) {
        await redis.hincrby(keys.state(id), `${store}.${kind}`, number);
      }
    },

    storeDone: async (id, store) =>
      void (await redis.hsetnx(keys.state(id), `done.${store}`, iso())),
    isStoreDone: async (id, store) => (await redis.hexists(keys.state(id), `done.${store}`)) === 1,

    async allDone(id) {
      await redis.hsetnx(keys.state(id), "done", iso());
      return redis.hincrby(keys.state(id), "sweeps", 1);
    },

    putOff: async (id, ms) => void (await redis.zadd(keys.due, "XX", now() + ms, id)),

    async close(id) {
      await redis.multi().hdel(keys.orders, id).zrem(keys.due, id).del(keys.found(id)).exec();
    },
  };
}
