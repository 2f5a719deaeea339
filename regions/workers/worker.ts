import { setTimeout as sleep } from "node:timers/promises";
import { LOAD_REPORT_TTL_MS, type WorkerLoad } from "../../shared/contracts/load-report.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { remainingCompute } from "../../shared/policies/compute-estimate.ts";
import type { Logger } from "../ops/logger.ts";
import { createBackoff } from "../ops/backoff.ts";
import type { Metrics } from "../ops/metrics.ts";
import { repeat } from "../ops/repeat.ts";
import type { Completion, Queue, ReleaseOptions, Run } from "../queue/queue-port.ts";
import type { ObjectStore } from "../store/object-store-port.ts";
import { createClaimTerms } from "./claim-terms.ts";
import { CancelRequestedError, DeadlineError, keepLease } from "./lease-keeper.ts";
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
  /** Compute-seconds that one of its runs does in a second. */
  speed?: number;
}

export interface Worker {
  /** Works until it is stopped; settles when nothing runs any more. */
  run(): Promise<void>;
  /** Takes no more jobs, and after a grace hands back what still runs, without cost to it. */
  stop(): void;
  active(): number;
}

const PROGRESS_EVERY_MS = 1000;
/** A worker that began or ended something says so this soon, between its regular reports. */
const REPORT_WITHIN_MS = 100;
/** Runs at most, as a multiple of those at work: ends that cannot be offered must not gather. */
const MOST_OFFERING = 2;

/** Takes jobs from the queue and runs them, several at once. Its own thread does I/O alone, so leases never wait for computing. */
export function createWorker(options: WorkerOptions): Worker {
  const { workerId, queue, runJob, objects, logger, metrics } = options;
  const { concurrency = 2, leaseMs = 10_000, graceMs = 3000, speed = 1 } = options;
  const stopping = new AbortController();
  const draining = new AbortController();
  const active = new Map<Promise<void>, { run: Run; since: number }>();
  /** Of the active ones, those whose work goes on: while an end is being offered, the next job is asked for already. */
  const busy = new Set<Run>();
  const room = () => Math.min(concurrency - busy.size, MOST_OFFERING * concurrency - active.size);
  let roomMade = Promise.withResolvers<void>();
  function makeRoom(): void {
    roomMade.resolve();
    roomMade = Promise.withResolvers();
  }
  /** How far each run is. */
  const fractions = new WeakMap<Run, number>();
  const ended = metrics.counter("antiphon_runs_total", "Runs that ended, by how.");
  const seconds = metrics.histogram("antiphon_run_seconds", "Length of runs, by how they ended.");
  const running = metrics.gauge("antiphon_runs_active", "Runs going on in this worker.");
  metrics.onScrape(() => running.set(active.size));

  function reporter(run: Run, log: Logger): (fraction: number) => void {
    let last = -Infinity;
    return (fraction) => {
      fractions.set(run, fraction);
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

  async function handBack(run: Run, options: ReleaseOptions, error: unknown, log: Logger) {
    try {
      const outcome = await queue.release(run, options);
      const level = options.because === "error" ? "warn" : "info";
      log[level]({ err: error, outcome }, "handed a run back");
      if (outcome !== "requeued") return outcome;
      return options.because === "error" ? "retried" : "handed_back";
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
      busy.delete(run);
      makeRoom();
      const outcome = await offer(run, completion, signal, log);
      if (outcome === "offered") return completion.offer.status;
      if (outcome === "abandoned") return outcome;
      log.warn("a run was fenced; dropping its result");
      const { result_key } = completion.offer;
      if (result_key) await objects.delete(result_key).catch(() => undefined);
      return "fenced";
    } catch (error) {
      if (lease.isLost()) {
        log.warn({ err: lease.signal.reason as Error }, "gave a run up");
        return "lease_lost";
      }
      return await handBack(run, becauseOf(error, lease.signal.reason), error, log);
    } finally {
      lease.stop();
    }
  }

  /** Why a run that threw is handed back: for what it was stopped, or for what it failed with. */
  function becauseOf(error: unknown, stoppedFor: unknown): ReleaseOptions {
    if (stoppedFor instanceof CancelRequestedError) return { because: "cancel" };
    if (stoppedFor instanceof DeadlineError) return { because: "deadline" };
    if (draining.signal.aborted) return { because: "drain" };
    const { code, retryable } = error instanceof ApiError ? error : new ApiError("internal");
    return { because: "error", code, retryable, reason: "a part of the system failed" };
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

  async function giveBack(run: Run): Promise<void> {
    const log = logger.child({ job_id: run.spec.id, epoch: run.epoch });
    ended.inc({ outcome: await handBack(run, { because: "drain" }, undefined, log) });
  }

  async function claimAll(signal: AbortSignal): Promise<void> {
    const backoff = createBackoff({ minMs: 50, maxMs: 2000 });
    signal.addEventListener("abort", () => makeRoom(), { once: true });
    while (!signal.aborted) {
      if (room() <= 0) {
        await roomMade.promise;
        continue;
      }
      let runs: Run[];
      try {
        runs = await claimOnTerms(signal);
        backoff.reset();
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ err: error }, "cannot claim jobs now");
        await backoff.wait(signal);
        continue;
      }
      for (const run of runs) {
        busy.add(run);
        // One that was on its way here as the worker was told to stop is begun by another.
        const task = (signal.aborted ? giveBack(run) : work(run)).finally(() => {
          active.delete(task);
          busy.delete(run);
          makeRoom();
          reportSoon();
        });
        active.set(task, { run, since: performance.now() });
      }
      if (runs.length > 0) {
        terms.claimed();
        reportSoon();
      }
    }
  }

  /** Jobs that this worker should take, or none by the time its terms have to be weighed anew. */
  async function claimOnTerms(signal: AbortSignal): Promise<Run[]> {
    const { maxEstimateS, forMs } = await terms.now();
    if (signal.aborted) return [];
    if (maxEstimateS === 0) {
      await sleep(forMs, undefined, { signal }).catch(() => undefined);
      return [];
    }
    const over = new AbortController();
    const end = () => over.abort();
    const timer = setTimeout(end, forMs);
    signal.addEventListener("abort", end, { once: true });
    try {
      return await queue.claimMany({
        workerId,
        signal: over.signal,
        max: room(),
        ...(maxEstimateS === undefined ? {} : { maxEstimateS }),
      });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
    }
  }

  /** What it has and can do. */
  function describe(): Omit<WorkerLoad, "reported_at_ms"> {
    let ahead = 0;
    for (const { run, since } of active.values()) {
      const done = ((performance.now() - since) / 1000) * speed;
      ahead += remainingCompute(run.estimateS, done, fractions.get(run));
    }
    return {
      v: 1,
      worker_id: workerId,
      capacity: concurrency,
      active_jobs: busy.size,
      queued_compute_seconds: ahead,
      speed,
      draining: stopping.signal.aborted,
      ttl_ms: LOAD_REPORT_TTL_MS,
    };
  }

  const terms = createClaimTerms({ workerId, queue, self: describe });
  /** So that others can tell how long a job that comes now would wait, and whether to leave it to this one. */
  const reportLoad = () => queue.reportLoad(describe());
  const cannotReport = (error: unknown) =>
    logger.debug({ err: error }, "could not report the load");
  let reportTimer: NodeJS.Timeout | undefined;
  function reportSoon(): void {
    reportTimer ??= setTimeout(() => {
      reportTimer = undefined;
      reportLoad().catch(cannotReport);
    }, REPORT_WITHIN_MS);
  }

  return {
    async run() {
      const reporting = new AbortController();
      const reports = repeat(reportLoad, {
        everyMs: LOAD_REPORT_TTL_MS / 3,
        signal: reporting.signal,
        onError: cannotReport,
      });
      await claimAll(stopping.signal);
      const all = Promise.all(active.keys());
      const grace = setTimeout(() => draining.abort(new Error("the worker stops")), graceMs);
      try {
        await all;
      } finally {
        clearTimeout(grace);
        clearTimeout(reportTimer);
        reporting.abort();
        await reports;
      }
    },
    stop: () => stopping.abort(new Error("the worker stops")),
    active: () => active.size,
  };
}
