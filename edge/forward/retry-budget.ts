/** Share of the requests that may be tried again elsewhere. */
const SHARE = 0.2;
/** So many more a second, for an isolate that has few requests, */
const PER_SECOND = 2;
/** and so many at once. */
const MOST = 20;

export interface RetryBudget {
  /** To be told of every request that might be retried. */
  began(): void;
  /** Whether one more try may be made; if so, it is counted. */
  takes(): boolean;
}

/**
 * Bounds what one isolate tries again, so that retries do not multiply the load when much fails: a region that is slow because it is
 * busy would be slower still, and the others with it.
 */
export function createRetryBudget(now: () => number = Date.now): RetryBudget {
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
    takes() {
      refill();
      if (left < 1) return false;
      left--;
      return true;
    },
  };
}
