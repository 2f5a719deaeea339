import { setTimeout as sleep } from "node:timers/promises";

export interface Backoff {
  /** Waits, longer each time up to the most, with jitter. Resolves early, and quietly, when `signal` is aborted. */
  wait(signal: AbortSignal): Promise<void>;
  /** After a success: the next wait is the shortest again. */
  reset(): void;
}

/** Exponential with full jitter over the upper half, so that many that failed together do not come back together. */
export function createBackoff({ minMs = 100, maxMs = 5000, random = Math.random } = {}): Backoff {
  let tries = 0;
  return {
    async wait(signal) {
      const most = Math.min(maxMs, minMs * 2 ** tries);
      tries = Math.min(tries + 1, 30);
      await sleep(most * (0.5 + random() / 2), undefined, { signal }).catch(() => undefined);
    },
    reset() {
      tries = 0;
    },
  };
}
