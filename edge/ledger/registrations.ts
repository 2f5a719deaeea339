import { describeError, log } from "../ops/log.ts";
import type { LedgerStore } from "./ledger-store.ts";
import { createCallObject, jurisdictionOf } from "./placement.ts";

/** What a shard asks of an index of open shards. */
export interface ShardIndex extends Rpc.DurableObjectBranded {
  add(region: string, shard: string): Promise<void>;
  remove(shard: string): Promise<void>;
}

/** A shard that has no open job in a region any more stays registered there for so long: the next one may come at once. */
export const REGISTERED_FOR_MS = 60_000;

/**
 * Keeps a shard in the index of every region where it has open jobs. What is written down here is only what the index has confirmed,
 * and is struck out before the index is asked to forget: after a crash at any step the index knows of this shard, or the next alarm
 * sees that it does not.
 */
export function createRegistrations(
  sql: SqlStorage,
  store: Pick<LedgerStore, "openRegions">,
  namespace: () => DurableObjectNamespace<ShardIndex>,
) {
  sql.exec(`CREATE TABLE IF NOT EXISTS registrations (region TEXT PRIMARY KEY) WITHOUT ROWID`);
  const confirmed = new Set(
    sql
      .exec<{ region: string }>("SELECT region FROM registrations")
      .toArray()
      .map(({ region }) => region),
  );
  const underWay = new Map<string, Promise<void>>();

  const callIndex = <R>(
    region: string,
    call: (index: DurableObjectStub<ShardIndex>) => Promise<R>,
  ): Promise<R> =>
    createCallObject(namespace(), { jurisdictions: false })(region, jurisdictionOf(region), call);

  async function add(region: string, shard: string): Promise<void> {
    try {
      await callIndex(region, (index) => index.add(region, shard));
      confirmed.add(region);
      sql.exec("INSERT OR IGNORE INTO registrations VALUES (?)", region);
    } catch (error) {
      log("warn", "could not register open jobs; the alarm will", {
        region,
        error: describeError(error),
      });
    } finally {
      underWay.delete(region);
    }
  }

  /** Registers a shard with a region, once; never throws, since the next `sync` would do it too. */
  function ensure(region: string, shard: string): Promise<void> {
    if (confirmed.has(region)) return Promise.resolve();
    const begun = underWay.get(region) ?? add(region, shard);
    underWay.set(region, begun);
    return begun;
  }

  async function forget(region: string, shard: string): Promise<void> {
    confirmed.delete(region);
    sql.exec("DELETE FROM registrations WHERE region = ?", region);
    await callIndex(region, (index) => index.remove(shard)).catch(() => undefined);
  }

  /** Registers where there are open jobs, and nowhere else. */
  async function sync(shard: string): Promise<void> {
    const open = store.openRegions();
    await Promise.all([...confirmed].filter((id) => !open.has(id)).map((id) => forget(id, shard)));
    // Asked anew: a job may have come while the index was forgetting.
    await Promise.all([...store.openRegions()].map((id) => ensure(id, shard)));
  }

  /** Whether something is registered that need not be. */
  function isIdle(): boolean {
    if (confirmed.size === 0) return false;
    const open = store.openRegions();
    return [...confirmed].some((id) => !open.has(id));
  }

  return { ensure, sync, isIdle };
}
