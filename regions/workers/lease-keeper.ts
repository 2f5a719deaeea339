import type { Queue, Run } from "../queue/queue-port.ts";

/** The run belongs to somebody else now, or will before we can know better. */
export class LeaseLostError extends Error {
  constructor() {
    super("the lease was lost");
    this.name = "LeaseLostError";
  }
}

/** Somebody asked for the end of the job. */
export class CancelRequestedError extends Error {
  constructor() {
    super("a cancel was asked for");
    this.name = "CancelRequestedError";
  }
}

/** The time for the job is over. */
export class DeadlineError extends Error {
  constructor() {
    super("the deadline has passed");
    this.name = "DeadlineError";
  }
}

export interface HeldLease {
  /** Aborted as soon as the run is to stop: with a LeaseLostError, a CancelRequestedError or a DeadlineError. */
  signal: AbortSignal;
  /** Whether the lease was lost, whatever else the run was stopped for. */
  isLost(): boolean;
  /** Stops renewing; call it in any case. */
  stop(): void;
}

/**
 * Keeps a run going for as long as it may: until its lease is lost, its cancel is asked for or its deadline passes.
 * Renews a lease three times within its span. While the queue cannot be reached the lease counts as lost once its span
 * is over by our own clock, because then another worker may have the job.
 */
export function keepLease(
  queue: Pick<Queue, "renew" | "onCancel">,
  run: Run,
  leaseMs: number,
): HeldLease {
  const stopRun = new AbortController();
  let lost = false;
  let next: NodeJS.Timeout | undefined;
  let end: NodeJS.Timeout | undefined;
  let stopped = false;

  function stop(): void {
    stopped = true;
    clearTimeout(next);
    clearTimeout(end);
    clearTimeout(deadline);
    ignoreCancel();
  }
  function lose(): void {
    stop();
    lost = true;
    stopRun.abort(new LeaseLostError());
  }
  // Even so the lease is kept: until the end of the run is offered, nobody else is to begin.
  const cancel = () => stopRun.abort(new CancelRequestedError());
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
      if (renewed.cancelRequested) cancel();
      holdFrom(askedAt);
    } catch {
      if (stopped) return;
    }
    next = setTimeout(() => void renew(), leaseMs / 3);
  }

  const ignoreCancel = queue.onCancel(run.spec.id, cancel);
  const deadline =
    run.deadlineInMs === undefined
      ? undefined
      : // Measured from the claim on, so that no clock but the queue's has a say. Timers take no more than 2^31 - 1 ms.
        setTimeout(
          () => stopRun.abort(new DeadlineError()),
          Math.min(Math.max(0, run.deadlineInMs), 2 ** 31 - 1),
        );
  holdFrom(performance.now());
  next = setTimeout(() => void renew(), leaseMs / 3);
  return { signal: stopRun.signal, isLost: () => lost, stop };
}
