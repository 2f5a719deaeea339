import { waitUntil } from "cloudflare:workers";
import { z } from "zod";
import { describeError, log } from "../ops/log.ts";
import type { Introduce } from "./strangers.ts";
import { withTimeout } from "./with-timeout.ts";

/** How long this isolate answers from memory, without asking KV. */
const IN_MEMORY_MS = 5_000;
/** With the time in which it is asked for again, less than a minute. */
const KNOWN_FOR_MS = 55_000;
/** While one request asks again, those beside it go on with what is known. */
const ASKING_MS = 2_000;
/** A store or a region that hangs holds up whom we know for no longer. */
const PATIENCE_MS = 500;
/** Short, so that what a lagging replica did not know yet is soon asked for again. */
const UNKNOWN_FOR_MS = 10_000;
/** While nobody can be asked, what was known is believed for so long after it should have been asked again. */
const STALE_FOR_MS = 10 * 60_000;
const MAX_IN_MEMORY = 10_000;
/** Apart from the others: names can be made up, and must not push out what is known. */
const MAX_UNKNOWN = 1_000;

export interface RecordCache<T> {
  /**
   * The record under a name; null when there is none. `lookUp` is asked where no cache knows; `introduce` bounds what is asked
   * beyond this isolate's memory. @throws what they throw
   */
  get(name: string, lookUp: () => Promise<T | null>, introduce?: Introduce): Promise<T | null>;
  /** Drops what is cached here and in KV; other isolates' memory lives on for seconds. */
  forget(name: string): Promise<void>;
}

interface Entry<T> {
  /** Unix ms; after that the record is asked for again. */
  until: number;
  record: T;
}

/**
 * Records that decide who may call, cached: seconds in this isolate, a minute in KV. That there is none is remembered for ten seconds, in
 * this isolate alone: of made-up names KV would have one each. All are bounded. Whoever is known waits for no store and no region that
 * hangs: one request asks again, and goes on without the answer when it is late. What is withdrawn at once, such as a key, is on the list of revocations, which is asked besides.
 */
export function createRecordCache<T>(
  kv: KVNamespace,
  prefix: string,
  schema: z.ZodType<T>,
  now: () => number = Date.now,
): RecordCache<T> {
  const stored = z.strictObject({ until: z.number(), record: schema });
  const memory = new Map<string, Entry<T> & { freshUntil: number }>();
  const unknown = new Map<string, number>();
  const nameOf = (name: string) => `${prefix}/${name}`;

  function keep(name: string, entry: Entry<T>): void {
    setBounded(memory, MAX_IN_MEMORY, name, {
      ...entry,
      freshUntil: Math.min(entry.until, now() + IN_MEMORY_MS),
    });
  }

  async function find(name: string, lookUp: () => Promise<T | null>): Promise<T | null> {
    const read = stored.safeParse(await kv.get(nameOf(name), "json").catch(() => null));
    const cached: Entry<T> | undefined = read.success ? read.data : memory.get(name);
    if (cached && cached.until > now()) {
      keep(name, cached);
      return cached.record;
    }
    let record: T | null;
    try {
      record = await lookUp();
    } catch (error) {
      // A region that is away must not lock out those whom we knew a moment ago.
      if (!cached || cached.until + STALE_FOR_MS <= now()) throw error;
      log("warn", "a record is used although it could not be asked for again", {
        kind: prefix,
        error: describeError(error),
      });
      memory.set(name, { ...cached, freshUntil: now() + IN_MEMORY_MS });
      return cached.record;
    }
    if (record === null) {
      memory.delete(name);
      setBounded(unknown, MAX_UNKNOWN, name, now() + UNKNOWN_FOR_MS);
      return null;
    }
    const entry = { until: now() + KNOWN_FOR_MS, record };
    keep(name, entry);
    const expirationTtl = (KNOWN_FOR_MS + STALE_FOR_MS) / 1000;
    await kv
      .put(nameOf(name), JSON.stringify(entry), { expirationTtl })
      // KV takes one write a second per key: a lost write costs a look-up, nothing more.
      .catch((error: unknown) => log("warn", "KV write failed", { error: describeError(error) }));
    return record;
  }

  async function get(
    name: string,
    lookUp: () => Promise<T | null>,
    introduce: Introduce = (_, ask) => ask(),
  ): Promise<T | null> {
    const near = memory.get(name);
    if (near && near.freshUntil > now()) return near.record;
    if ((unknown.get(name) ?? 0) > now()) return null;
    if (!near) return introduce(name, () => find(name, lookUp));
    if (near.until + STALE_FOR_MS <= now()) return find(name, lookUp);
    memory.set(name, { ...near, freshUntil: now() + ASKING_MS });
    const asking = find(name, lookUp).then((record) => ({ record }));
    waitUntil(asking.catch(() => undefined));
    const { record } = await withTimeout(asking, PATIENCE_MS).catch(() => near);
    return record;
  }

  async function forget(name: string): Promise<void> {
    memory.delete(name);
    unknown.delete(name);
    await kv.delete(nameOf(name));
  }

  return { get, forget };
}

/** What was set last stays longest. */
function setBounded<V>(map: Map<string, V>, most: number, name: string, value: V): void {
  map.delete(name);
  for (const oldest of map.keys()) {
    if (map.size < most) break;
    map.delete(oldest);
  }
  map.set(name, value);
}
