import { canceled, failed } from "./completion.ts";
import { exhausted, overdue, unreadable } from "./endings.ts";
import { createInMemoryJobs, epochOf, waits } from "./in-memory-jobs.ts";
import { createInMemoryReports, measureLoad } from "./in-memory-load.ts";
import { createInMemorySignals } from "./in-memory-signals.ts";
import { DEFAULT_ESTIMATE_S, MAX_ATTEMPTS, MAX_STALLS } from "./queue-port.ts";
import type { ClaimOptions, Completion, Queue, ReapedRun, Run } from "./queue-port.ts";
import { readSpec, SPEC_VERSION } from "./read-spec.ts";
import { retryPauseMs, type RetryPauses } from "./retry-pause.ts";
import { watchJob } from "./watch-job.ts";

export interface InMemoryQueueOptions {
  region: string;
  leaseMs?: number;
  maxAttempts?: number;
  maxStalls?: number;
  retry?: RetryPauses;
  /** Unix ms. */
  now?: () => number;
}

export interface InMemoryQueue extends Queue {
  /** What has been offered and not yet taken, oldest first. */
  offers: Completion[];
}

const LOOK_EVERY_MS = 1000;

/** A queue within one process, for tests and simulations; its jobs end with the process. */
export function createInMemoryQueue(options: InMemoryQueueOptions): InMemoryQueue {
  const { region, leaseMs = 10_000, retry = {}, now = Date.now } = options;
  const { maxAttempts = MAX_ATTEMPTS, maxStalls = MAX_STALLS } = options;
  const signals = createInMemorySignals();
  const book = createInMemoryJobs({ region, maxStalls, now, signals });
  const { jobs, fair, letters } = book;
  const closed = new AbortController();

  function reap(): ReapedRun[] {
    book.promote();
    const over = [...jobs.values()]
      .filter((entry) => entry.status === "running" && entry.leaseExpiresAtMs! <= now())
      .toSorted(
        (a, b) => a.leaseExpiresAtMs! - b.leaseExpiresAtMs! || (a.spec.id < b.spec.id ? -1 : 1),
      );
    const late = book.endOverdue();
    const reaped = over.map((entry): ReapedRun => {
      const epoch = epochOf(entry);
      return { jobId: entry.spec.id, epoch, outcome: book.giveUpStalled(entry) };
    });
    return [...reaped, ...late];
  }

  /** The runs taken, and whether asking again at once can bring more. */
  function take(terms: ClaimOptions & { max: number }): { runs: Run[]; again: boolean } {
    const { workerId, maxEstimateS, maxVersion = SPEC_VERSION, max } = terms;
    book.promote();
    const { taken, metOverdue } = fair.take({
      max,
      nowMs: now(),
      maxVersion,
      ...(maxEstimateS === undefined ? {} : { maxCost: Math.round(maxEstimateS * 1000) }),
    });
    const runs = taken.flatMap((entry) => {
      entry.attempt++;
      entry.status = "running";
      entry.progress = 0;
      entry.workerId = workerId;
      entry.startedAtMs = now();
      entry.leaseExpiresAtMs = now() + leaseMs;
      book.changed(entry);
      const job = {
        id: entry.spec.id,
        tenantId: entry.spec.tenant_id,
        dispatch: entry.spec.dispatch,
      };
      const read = readSpec(JSON.stringify(entry.spec), job);
      if (read.unreadable) {
        // Its tenant's limit holds all the same.
        const { tenant } = entry.spec;
        entry.spec = tenant ? { ...read.spec, tenant } : read.spec;
        book.giveUp(entry, 0, 0, "its specification could not be read", unreadable);
        return [];
      }
      return {
        workerId,
        spec: read.spec,
        epoch: epochOf(entry),
        triedBefore: entry.tried,
        estimateS: entry.cost / 1000,
        startedAtMs: entry.startedAtMs,
        leaseExpiresAtMs: entry.leaseExpiresAtMs,
        ...(entry.deadlineMs === undefined ? {} : { deadlineInMs: entry.deadlineMs - now() }),
      };
    });
    if (metOverdue && runs.length === 0) reap();
    return { runs, again: metOverdue || taken.length > 0 };
  }

  async function claimMany(terms: ClaimOptions & { max: number }): Promise<Run[]> {
    const { signal } = terms;
    while (!signal.aborted && !closed.signal.aborted) {
      const { runs, again } = take(terms);
      if (runs.length > 0) return runs;
      if (again) continue;
      await signals.wait("w", LOOK_EVERY_MS, [signal, closed.signal]);
    }
    return [];
  }

  return {
    offers: book.offers,

    async submit(spec, { estimateS = DEFAULT_ESTIMATE_S } = {}) {
      const admitted = book.admit(spec);
      if (admitted === "duplicate") {
        return { duplicate: true, queue_position: book.place(jobs.get(spec.id)) };
      }
      const cost = Math.max(1, Math.round(estimateS * 1000));
      const entry = book.newEntry(spec, cost, admitted.version);
      const startMs = spec.not_before === undefined ? 0 : Date.parse(spec.not_before);
      if (startMs > now()) entry.atMs = entry.dueMs = startMs;
      else book.enqueue(entry);
      fair.settle();
      book.changed(entry);
      return { duplicate: false, queue_position: book.place(entry) };
    },

    async submitFinished(spec, complete) {
      const admitted = book.admit(spec);
      if (admitted === "duplicate") return { duplicate: true, queue_position: 0 };
      fair.settle();
      const entry = book.newEntry(spec, 0, admitted.version);
      const startedAtMs = now();
      Object.assign(entry, { attempt: 1, finishedAttempt: 1, startedAtMs, progress: 1 });
      book.offer(entry, complete({ spec, epoch: epochOf(entry), startedAtMs }));
      return { duplicate: false, queue_position: 0 };
    },

    claimMany,
    async claim(terms) {
      return (await claimMany({ ...terms, max: 1 }))[0];
    },

    async renew(run) {
      const entry = book.holder(run);
      if (!entry) return undefined;
      entry.leaseExpiresAtMs = now() + leaseMs;
      return {
        leaseExpiresAtMs: entry.leaseExpiresAtMs,
        cancelRequested: entry.cancelRequested,
      };
    },

    async progress(run, fraction) {
      const entry = book.holder(run);
      if (!entry) return false;
      entry.progress = fraction;
      book.changed(entry);
      return true;
    },

    async finish(run, completion) {
      const entry = book.holder(run);
      if (!entry)
        return book.newest(run)?.finishedAttempt === run.epoch.attempt ? "offered" : "fenced";
      book.finishRun(entry, completion);
      return "offered";
    },

    async release(run, how) {
      const entry = book.holder(run);
      if (!entry) return "fenced";
      if (how.because === "deadline") {
        book.finishRun(entry, overdue(book.endingOf(entry)));
        return "deadline_exceeded";
      }
      if (how.because === "cancel" || entry.cancelRequested) {
        book.finishRun(entry, canceled(book.endingOf(entry)));
        return "canceled";
      }
      if (how.because === "drain") {
        book.waitAgain(entry, 0);
        return "requeued";
      }
      const { code, retryable, reason } = how;
      const pauseMs = retryPauseMs(code, run.triedBefore, retry);
      return book.giveUp(entry, pauseMs, retryable ? maxAttempts : 0, reason, (ending) =>
        retryable ? exhausted({ ...ending, reason }) : failed({ ...ending, code, detail: reason }),
      );
    },

    async cancel(jobId) {
      const entry = jobs.get(jobId);
      if (!entry) return "unknown";
      if (waits(entry)) {
        book.endWaiting(entry, canceled);
        return "canceled";
      }
      if (entry.status !== "running") return "too_late";
      entry.cancelRequested = true;
      signals.call(`c${jobId}`);
      return "canceling";
    },
    onCancel: (jobId, listener) => signals.on(`c${jobId}`, listener),

    reap: async () => reap(),

    async state(jobId) {
      return book.look(jobId);
    },
    watch: (jobId, { afterVersion, signal }) =>
      watchJob({
        look: async () => book.look(jobId),
        listen: (listener) => signals.on(`s${jobId}`, listener),
        ...(afterVersion === undefined ? {} : { afterVersion }),
        signal: AbortSignal.any([signal, closed.signal]),
      }),

    async load() {
      const all = [...jobs.values()];
      const load = measureLoad(all, (entry) => fair.isHeld(entry), now());
      return { ...load, dead: letters.count(), newer: fair.newer() };
    },
    ...createInMemoryReports(now),

    deadLetters: letters,

    async ping() {},
    async close() {
      closed.abort();
    },
  };
}
