import {
  DeletedJob,
  DeletionOrder,
  StoreReport,
  type DeletionState,
} from "../../shared/contracts/deletions.ts";
import type { Redis } from "./redis.ts";
import { TOMBSTONE_KEPT_MS, type Tombstones } from "./tombstones.ts";
import { createWriteAnyway, inParts, MOST_MEMBERS } from "./write-anyway.ts";

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

/** The orders to delete that this region has, on disk: what was begun goes on after a crash. A Redis that is full takes them: they make room. */
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
  const writeAnyway = createWriteAnyway(redis);

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
        await writeAnyway(
          ["HSET", keys.state(order.id), "taken", iso()],
          ["PEXPIRE", keys.state(order.id), TOMBSTONE_KEPT_MS],
          ["HSET", keys.orders, order.id, JSON.stringify(order)],
          ["ZADD", keys.due, now(), order.id],
        );
      }
      return stateOf(order.id);
    },

    async next(patienceMs) {
      const [id] = await redis.zrangebyscore(keys.due, "-inf", now(), "LIMIT", 0, 1);
      if (id === undefined) return undefined;
      await writeAnyway(["ZADD", keys.due, "XX", now() + patienceMs, id]);
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
      for (const part of inParts(jobs, MOST_MEMBERS)) {
        await writeAnyway(["SADD", keys.found(id), ...part.map((job) => JSON.stringify(job))]);
      }
    },

    async found(id) {
      const members = await redis.smembers(keys.found(id));
      return members.map((text) => DeletedJob.parse(JSON.parse(text)));
    },

    async count(id, store, removed) {
      const counts = Object.entries(removed);
      await writeAnyway(
        ...counts.map(
          ([kind, number]) => ["HINCRBY", keys.state(id), `${store}.${kind}`, number] as const,
        ),
      );
    },

    storeDone: async (id, store) =>
      void (await writeAnyway(["HSETNX", keys.state(id), `done.${store}`, iso()])),
    isStoreDone: async (id, store) => (await redis.hexists(keys.state(id), `done.${store}`)) === 1,

    async allDone(id) {
      const [, sweeps] = await writeAnyway(
        ["HSETNX", keys.state(id), "done", iso()],
        ["HINCRBY", keys.state(id), "sweeps", 1],
      );
      return Number(sweeps);
    },

    putOff: async (id, ms) => void (await writeAnyway(["ZADD", keys.due, "XX", now() + ms, id])),

    async close(id) {
      await redis.multi().hdel(keys.orders, id).zrem(keys.due, id).del(keys.found(id)).exec();
    },
  };
}
