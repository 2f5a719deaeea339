import type { Queue, Run } from "../queue/queue-port.ts";

/** The run belongs to somebody else now, or will before we can know better. */
export class LeaseLostError extends Error {
  constructor() {
    super("the lease was lost");
    this.name = "LeaseLostError";
  }
}

export interface HeldLease {
  /** Aborted with a LeaseLostError as soon as the lease is lost. */
  signal: AbortSignal;
  /** Stops renewing; call it in any case. */
  stop(): void;
}

/**
 * Renews a lease three times within its span. While the queue cannot be reached the lease counts as lost once its span
 * is over by our own clock, because then another worker may have the job.
 */
export function keepLease(queue: Pick<Queue, "renew">, run: Run, leaseMs: number): HeldLease {
  const lost = new AbortController();
  let next: NodeJS.Timeout | undefined;
  let end: NodeJS.Timeout | undefined;
  let stopped = false;

  function stop(): void {
    stopped = true;
    clearTimeout(next);
    clearTimeout(end);
  }
  function lose(): void {
    stop();
    lost.abort(new LeaseLostError());
  }
  /** `askedAt`: when we asked for the lease; it began later than that, so it ends no earlier than we assume. */
  function holdFrom(askedAt: number): void {
    clearTimeout(end);
    end = setTimeout(lose, askedAt + leaseMs - performance.now());
  }
  async function renew(): Promise<void> {
    const askedAt = performance.now();
    try {
      const renewed = await queue.renew(run);
      if (stopped) return;
      if (renewed === undefined) return lose();
      holdFrom(askedAt);
    } catch {
      if (stopped) return;
    }
    next = setTimeout(() => void renew(), leaseMs / 3);
  }

  holdFrom(performance.now());
  next = setTimeout(() => void renew(), leaseMs / 3);
  return { signal: lost.signal, stop };
}
