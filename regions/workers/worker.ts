import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../ops/logger.ts";
import { createBackoff } from "../ops/backoff.ts";
import type { Metrics } from "../ops/metrics.ts";
import type { Completion, Queue, Run } from "../queue/queue-port.ts";
import type { ObjectStore } from "../store/object-store-port.ts";
import { keepLease, LeaseLostError } from "./lease-keeper.ts";
import type { RunJob } from "./run-job.ts";

export interface WorkerOptions {
  workerId: string;
  queue: Queue;
  runJob: RunJob;
  /** To remove the result of a run that was fenced. */
  objects: Pick<ObjectStore, "delete">;
  logger: Logger;
  metrics: Metrics;
  /** Runs at once. */
  concurrency?: number;
  /** As the queue has it. */
  leaseMs?: number;
  /** How long runs may go on once the worker is to stop. */
  graceMs?: number;
  /** Pause before a failed attempt is given back, doubled with each further one. */
  retryPauseMs?: number;
}

export interface Worker {
  /** Works until it is stopped; settles when nothing runs any more. */
  run(): Promise<void>;
  /** Takes no more jobs, and after a grace hands back what still runs, without cost to it. */
  stop(): void;
  active(): number;
}

const PROGRESS_EVERY_MS = 1000;

/** Takes jobs from the queue and runs them, several at once. Its own thread does I/O alone, so leases never wait for computing. */
export function createWorker(options: WorkerOptions): Worker {
  const { workerId, queue, runJob, objects, logger, metrics } = options;
  const { concurrency = 2, leaseMs = 10_000, graceMs = 3000, retryPauseMs = 2000 } = options;
  const stopping = new AbortController();
  const draining = new AbortController();
  const active = new Set<Promise<void>>();
  const ended = metrics.counter("antiphon_runs_total", "Runs that ended, by how.");
  const seconds = metrics.histogram("antiphon_run_seconds", "Length of runs, by how they ended.");
  const running = metrics.gauge("antiphon_runs_active", "Runs going on in this worker.");
  metrics.onScrape(() => running.set(active.size));

  function reporter(run: Run, log: Logger): (fraction: number) => void {
    let last = -Infinity;
    return (fraction) => {
      if (performance.now() - last < PROGRESS_EVERY_MS) return;
      last = performance.now();
      queue.progress(run, fraction).catch((error: unknown) => {
        log.debug({ err: error }, "could not report progress");
      });
    };
  }

  /**
   * Offers the end of a run for as long as the lease is held: Redis may be away for a moment. `abandoned` when it stayed
   * away: the offer may then have been taken or not, so whatever it points to must be left alone.
   */
  async function offer(run: Run, completion: Completion, signal: AbortSignal, log: Logger) {
    const backoff = createBackoff({ minMs: 50, maxMs: 1000 });
    for (;;) {
      try {
        return await queue.finish(run, completion);
      } catch (error) {
        if (signal.aborted) return "abandoned";
        log.warn({ err: error }, "could not offer the end of a run; trying again");
        await backoff.wait(signal);
      }
    }
  }

  async function handBack(run: Run, error: unknown, countAttempt: boolean, log: Logger) {
    try {
      const outcome = await queue.release(
        run,
        countAttempt
          ? {
              because: "error",
              code: "internal",
              retryable: true,
              reason: "a part of the system failed",
            }
          : { because: "drain" },
      );
      log[countAttempt ? "warn" : "info"]({ err: error, outcome }, "handed a run back");
      return countAttempt ? "retried" : "handed_back";
    } catch (failure) {
      // The lease will run out, and the reaper do the same.
      log.warn({ err: failure }, "could not hand a run back");
      return "abandoned";
    }
  }

  async function attempt(run: Run, log: Logger): Promise<string> {
    const lease = keepLease(queue, run, leaseMs);
    const signal = AbortSignal.any([lease.signal, draining.signal]);
    try {
      const completion = await runJob(run, { signal, onProgress: reporter(run, log) });
      const outcome = await offer(run, completion, signal, log);
      if (outcome === "offered") return completion.offer.status;
      if (outcome === "abandoned") return outcome;
      log.warn("a run was fenced; dropping its result");
      const { result_key } = completion.offer;
      if (result_key) await objects.delete(result_key).catch(() => undefined);
      return "fenced";
    } catch (error) {
      if (lease.signal.aborted) {
        log.warn({ err: new LeaseLostError() }, "gave a run up");
        return "lease_lost";
      }
      if (draining.signal.aborted) return await handBack(run, undefined, false, log);
      log.warn({ err: error }, "an attempt failed");
      // Held meanwhile: an outage of seconds must not use up all attempts.
      await sleep(retryPauseMs * 2 ** run.triedBefore, undefined, { signal }).catch(
        () => undefined,
      );
      return await handBack(run, error, true, log);
    } finally {
      lease.stop();
    }
  }

  async function work(run: Run): Promise<void> {
    const { id, request_id, traceparent } = run.spec;
    const log = logger.child({ job_id: id, epoch: run.epoch, request_id, traceparent });
    const start = performance.now();
    log.info("began a run");
    const outcome = await attempt(run, log).catch((error: unknown) => {
      log.error({ err: error }, "a run ended in a fault of the worker");
      return "fault";
    });
    ended.inc({ outcome });
    seconds.observe((performance.now() - start) / 1000, { outcome });
    log.info({ outcome, ms: Math.round(performance.now() - start) }, "ended a run");
  }

  async function claimAll(signal: AbortSignal): Promise<void> {
    const backoff = createBackoff({ minMs: 50, maxMs: 2000 });
    const stopped = new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    while (!signal.aborted) {
      if (active.size >= concurrency) {
        await Promise.race([...active, stopped]);
        continue;
      }
      let run: Run | undefined;
      try {
        run = await queue.claim({ workerId, signal });
        backoff.reset();
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ err: error }, "cannot claim jobs now");
        await backoff.wait(signal);
        continue;
      }
      if (!run) continue;
      const task = work(run).finally(() => active.delete(task));
      active.add(task);
    }
  }

  return {
    async run() {
      await claimAll(stopping.signal);
      const all = Promise.all(active);
      const grace = setTimeout(() => draining.abort(new Error("the worker stops")), graceMs);
      try {
        await all;
      } finally {
        clearTimeout(grace);
      }
    },
    stop: () => stopping.abort(new Error("the worker stops")),
    active: () => active.size,
  };
}
