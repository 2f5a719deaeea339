import { z } from "zod";
import { describeError, log } from "../ops/log.ts";

/** How long this isolate answers from memory, without asking KV. */
const IN_MEMORY_MS = 5_000;
const KNOWN_FOR_MS = 60_000;
/** Short, so that what a lagging replica did not know yet is soon asked for again. */
const UNKNOWN_FOR_MS = 10_000;
/** While nobody can be asked, what was known is believed for so long after it should have been asked again. */
const STALE_FOR_MS = 10 * 60_000;
const MAX_IN_MEMORY = 10_000;

export interface RecordCache<T> {
  /** The record under a name; null when there is none. `lookUp` is asked where no cache knows. @throws what `lookUp` throws */
  get(name: string, lookUp: () => Promise<T | null>): Promise<T | null>;
  /** Drops what is cached here and in KV; other isolates' memory lives on for seconds. */
  forget(name: string): Promise<void>;
}

interface Entry<T> {
  /** Unix ms; after that the record is asked for again. */
  until: number;
  record: T | null;
}

/**
 * Records that decide who may call, cached: seconds in this isolate, a minute in KV, and what is not there for ten seconds. Both
 * caches are bounded. What is withdrawn at once, such as a key, is on the list of revocations, which is asked besides.
 */
export function createRecordCache<T>(
  kv: KVNamespace,
  prefix: string,
  schema: z.ZodType<T>,
  now: () => number = Date.now,
): RecordCache<T> {
  const stored = z.strictObject({ until: z.number(), record: schema.nullable() });
  const memory = new Map<string, Entry<T> & { freshUntil: number }>();
  const nameOf = (name: string) => `${prefix}/${name}`;

  function keep(name: string, entry: Entry<T>): void {
    memory.delete(name);
    for (const oldest of memory.keys()) {
      if (memory.size < MAX_IN_MEMORY) break;
      memory.delete(oldest);
    }
    memory.set(name, { ...entry, freshUntil: Math.min(entry.until, now() + IN_MEMORY_MS) });
  }

  async function get(name: string, lookUp: () => Promise<T | null>): Promise<T | null> {
    const near = memory.get(name);
    if (near && near.freshUntil > now()) return near.record;
    const read = stored.safeParse(await kv.get(nameOf(name), "json").catch(() => null));
    const cached: Entry<T> | undefined = read.success ? read.data : near;
    if (cached && cached.until > now()) {
      keep(name, cached);
      return cached.record;
    }
    let record: T | null;
    try {
      record = await lookUp();
    } catch (error) {
      // A region that is away must not lock out those whom we knew a moment ago.
      if (!cached?.record || cached.until + STALE_FOR_MS <= now()) throw error;
      log("warn", "a record is used although it could not be asked for again", {
        kind: prefix,
        error: describeError(error),
      });
      memory.set(name, { ...cached, freshUntil: now() + IN_MEMORY_MS });
      return cached.record;
    }
    const entry = { until: now() + (record ? KNOWN_FOR_MS : UNKNOWN_FOR_MS), record };
    keep(name, entry);
    const expirationTtl = Math.ceil((KNOWN_FOR_MS + (record ? STALE_FOR_MS : 0)) / 1000);
    await kv
      .put(nameOf(name), JSON.stringify(entry), { expirationTtl })
      // KV takes one write a second per key: a lost write costs a look-up, nothing more.
      .catch((error: unknown) => log("warn", "KV write failed", { error: describeError(error) }));
    return record;
  }

  async function forget(name: string): Promise<void> {
    memory.delete(name);
    await kv.delete(nameOf(name));
  }

  return { get, forget };
}
