import { setTimeout as sleep } from "node:timers/promises";
import postgres, { type Sql } from "postgres";

/** A commit that a region's own Postgres confirmed. Times in milliseconds of the drill's one clock. */
export interface WitnessCommit {
  region: string;
  /** Of the log that it was written to: each promotion begins a new one. */
  timeline: number;
  sentMs: number;
  answeredMs: number;
}

export interface Witness {
  readonly commits: readonly WitnessCommit[];
  close(): Promise<void>;
}

export interface WitnessOptions {
  /** Each region's own Postgres, reached from inside the region: no link on the way. */
  databases: Readonly<Record<string, { postgres: string }>>;
  /** Monotonic milliseconds. */
  now(): number;
  onCommit?: (commit: WitnessCommit) => void;
  /** Pause between two tries at one server. */
  everyMs?: number;
}

const EVERY_MS = 100;
/** A server that does not answer for so long is asked anew, on another connection. */
const ANSWER_MS = 2_000;

/**
 * Tries again and again to commit at every region's own Postgres, as a client inside the region could, and notes who took it: what two
 * servers confirmed at once were two primaries. A commit is a message in the log (`pg_logical_emit_message`): on disk and replicated
 * like any other, and nothing is left in the database. A replica is asked what it is and no more.
 */
export function createWitness(options: WitnessOptions): Witness {
  const { databases, now, onCommit = () => undefined, everyMs = EVERY_MS } = options;
  const commits: WitnessCommit[] = [];
  const closing = new AbortController();

  async function watch(region: string, url: string): Promise<void> {
    let sql: Sql | undefined;
    while (!closing.signal.aborted) {
      const sentMs = now();
      sql ??= connect(url);
      try {
        const timeline = await within(commit(sql), ANSWER_MS);
        if (timeline !== null) {
          const seen = { region, timeline, sentMs, answeredMs: now() };
          commits.push(seen);
          onCommit(seen);
        }
      } catch {
        // Away, starting or stopping: nothing was confirmed.
        await sql.end({ timeout: 0 }).catch(() => undefined);
        sql = undefined;
      }
      const pause = Math.max(everyMs - (now() - sentMs), everyMs / 2);
      await sleep(pause, undefined, { signal: closing.signal }).catch(() => undefined);
    }
    await sql?.end({ timeout: 1 }).catch(() => undefined);
  }

  const watching = Object.entries(databases).map(([region, { postgres: url }]) =>
    watch(region, url),
  );
  return {
    commits,
    async close() {
      closing.abort();
      await Promise.all(watching);
    },
  };
}

/** Settles to the timeline that it was committed on; null where the server takes no writes. */
async function commit(sql: Sql): Promise<number | null> {
  const [row] = await sql<{ timeline: number | null }[]>`
    select case when not pg_is_in_recovery()
      and pg_logical_emit_message(true, 'antiphon drill', 'witness') is not null
      then ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end as timeline`;
  return row?.timeline ?? null;
}

const connect = (url: string): Sql =>
  postgres(url, {
    max: 1,
    connect_timeout: ANSWER_MS / 1000,
    fetch_types: false,
    onnotice: () => undefined,
    connection: { application_name: "antiphon drill witness" },
  });

async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  const done = new AbortController();
  const late = sleep(ms, undefined, { signal: done.signal }).then(() => {
    throw new Error("no answer");
  });
  // Whichever is left over has nobody to fail for.
  late.catch(() => undefined);
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    done.abort();
  }
}
