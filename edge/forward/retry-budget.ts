import type { Metrics } from "../ops/metrics.ts";

/** Share of the requests that may be tried again elsewhere. */
const SHARE = 0.2;
/** So many more a second, for an isolate that has few requests, */
const PER_SECOND = 2;
/** and so many at once. */
const MOST = 20;

/** What may be tried again: handing over a job, a read, a hedged read, speech, a body of audio. */
export type RetryKind = "job" | "read" | "hedge" | "speech" | "upload";

export interface RetryBudget {
  /** To be told of every request that might be retried. */
  began(): void;
  /** Whether one more try may be made; if so, it is counted. `what` is for the metrics: retries of one kind. */
  takes(what: RetryKind): boolean;
}

/**
 * Bounds what one isolate tries again, so that retries do not multiply the load when much fails: a region that is slow because it is
 * busy would be slower still, and the others with it.
 */
export function createRetryBudget(
  now: () => number = Date.now,
  metrics?: Pick<Metrics, "count">,
): RetryBudget {
  let left = MOST;
  let at = now();

  function refill(): void {
    const since = Math.max(0, now() - at) / 1000;
    at = now();
    left = Math.min(MOST, left + since * PER_SECOND);
  }

  return {
    began() {
      left = Math.min(MOST, left + SHARE);
    },
    takes(what) {
      refill();
      const may = left >= 1;
      if (may) left--;
      metrics?.count("antiphon_edge_retries_total", { what, outcome: may ? "made" : "refused" });
      return may;
    },
  };
}
