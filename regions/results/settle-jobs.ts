import { MAX_SETTLED, type SettledJob } from "../../shared/contracts/internal-api.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import type { Metrics } from "../ops/metrics.ts";
import type { Redis } from "./redis.ts";
import { resultKeys } from "./result-keys.ts";
import type { TellSettled } from "./tell-settled.ts";

export interface SettleJobsParts {
  region: Region;
  redis: Redis;
  /** Jobs born here in that time (Unix ms) whose rows say all that the ledger does, in the order of their ids. */
  rows: {
    settled(query: {
      region: Region;
      fromMs: number;
      untilMs: number;
      after?: string | undefined;
      limit: number;
    }): Promise<SettledJob[]>;
  };
  tell: TellSettled;
  metrics: Metrics;
  /** Unix ms. */
  now?: () => number;
}

/**
 * Younger jobs the ledger describes itself: for as long as an idempotency key may begin their request anew, and replicas may lag.
 * More than the edge believes of it (edge/calls/find-job.ts).
 */
const AFTER_MS = 26 * 3_600_000;
/** How far back a region begins that has never told any. */
const BEGIN_MS = 24 * 3_600_000;

/**
 * Tells the ledger of jobs that it need not describe any longer, a page at a time. What it goes by are the rows themselves: they are
 * there once the primary has committed them and this region's server has replayed them. A job that ended later than it was told of stays
 * in the ledger for its 30 days.
 */
export function createSettleJobs(parts: SettleJobsParts): {
  /** Settles to how many jobs were told. Throws while the edge or the database is away; the next call goes on there. */
  work(signal: AbortSignal): Promise<number>;
} {
  const { region, redis, rows, tell, metrics, now = Date.now } = parts;
  const reduced = metrics.counter(
    "antiphon_settled_total",
    "Jobs that the ledger no longer describes, because the database does.",
  );

  return {
    async work(signal) {
      const untilMs = now() - AFTER_MS;
      const known = Number(await redis.get(resultKeys.settledUntil));
      const fromMs = known > 0 ? known : untilMs - BEGIN_MS;
      let told = 0;
      for (let after: string | undefined; fromMs < untilMs;) {
        signal.throwIfAborted();
        const page = await rows.settled({ region, fromMs, untilMs, after, limit: MAX_SETTLED });
        if (page.length > 0) reduced.inc({}, await tell(page, signal));
        told += page.length;
        after = page.at(-1)?.job_id;
        if (page.length < MAX_SETTLED) break;
      }
      if (fromMs < untilMs) await redis.set(resultKeys.settledUntil, String(untilMs));
      return told;
    },
  };
}
