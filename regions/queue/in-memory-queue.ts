import type { JobSpec, Priority } from "../../shared/contracts/job.ts";
import { priorities } from "../../shared/contracts/job.ts";
import type { WorkerLoad } from "../../shared/contracts/load-report.ts";
import { canceled, failed } from "./completion.ts";
import { createFairLanes } from "./fair-lanes.ts";
import { createInMemoryDeadLetters } from "./in-memory-dead-letters.ts";
import { exhausted, overdue, STALLED, unreadable } from "./endings.ts";
import type { InMemoryEntry as Entry } from "./in-memory-entry.ts";
import { classOf, laneOf } from "./lanes.ts";
import { DEFAULT_ESTIMATE_S, MAX_ATTEMPTS, MAX_STALLS, StaleDispatchError } from "./queue-port.ts";
import type {
  AttemptRecord,
  ClaimOptions,
  ClassLoad,
  Completion,
  JobSnapshot,
  Queue,
  ReapedRun,
  Run,
} from "./queue-port.ts";
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
  const jobs = new Map<string, Entry>();
  const fair = createFairLanes();
  const offers: Completion[] = [];
  const letters = createInMemoryDeadLetters();
  const reports = new Map<string, { report: WorkerLoad; untilMs: number }>();
  const listeners = new Map<string, Set<() => void>>();
  const closed = new AbortController();
  let seq = 0;

  const call = (name: string) => listeners.get(name)?.forEach((listener) => listener());
  function on(name: string, listener: () => void): () => void {
    const set = listeners.get(name) ?? new Set();
    listeners.set(name, set.add(listener));
    return () => void set.delete(listener);
  }
  function changed(entry: Entry): void {
    entry.version++;
    call(`s${entry.spec.id}`);
  }

  function enqueue(entry: Entry): void {
    delete entry.dueMs;
    fair.add(entry);
    call("w");
  }
  function endRun(entry: Entry): void {
    delete entry.leaseExpiresAtMs;
    if (fair.ended(entry)) call("w");
  }
  function waitAgain(entry: Entry, delayMs: number): void {
    entry.status = "queued";
    entry.atMs = now() + delayMs;
    entry.workerId = "";
    entry.passes = 0;
    delete entry.passedAtMs;
    delete entry.progress;
    if (delayMs > 0) entry.dueMs = entry.atMs;
    else enqueue(entry);
    // After it waits, so that it is the first of its tenant's to take the slot that comes free.
    endRun(entry);
    changed(entry);
  }
  function offer(entry: Entry, completion: Completion): void {
    offers.push(completion);
    entry.status = "offered";
    changed(entry);
  }
  function bury(entry: Entry, completion: Completion, reason: string): void {
    const { spec, attempt, history } = entry;
    letters.add({
      jobId: spec.id,
      tenantId: spec.tenant_id,
      epoch: { dispatch: spec.dispatch, attempt },
      at: new Date(now()).toISOString(),
      code: completion.offer.error?.code ?? "internal",
      reason,
      history,
      spec: JSON.stringify(spec),
    });
  }
  function promote(): void {
    const due = [...jobs.values()].filter((entry) => (entry.dueMs ?? Infinity) <= now());
    for (const entry of due.toSorted((a, b) => a.dueMs! - b.dueMs!)) {
      entry.atMs = now();
      enqueue(entry);
    }
  }
  const waits = (entry: Entry) => entry.status === "queued";

  /** The entry of a run that is the newest of its job. */
  function newest(run: Run): Entry | undefined {
    const entry = jobs.get(run.spec.id);
    const { dispatch, attempt } = run.epoch;
    return entry?.spec.dispatch === dispatch && entry.attempt === attempt ? entry : undefined;
  }
  function holder(run: Run): Entry | undefined {
    const entry = newest(run);
    return entry?.status === "running" && entry.leaseExpiresAtMs! > now() ? entry : undefined;
  }
  const epochOf = ({ spec, attempt }: Entry) => ({ dispatch: spec.dispatch, attempt });
  const endingOf = (entry: Entry) => ({
    spec: entry.spec,
    epoch: epochOf(entry),
    region,
    startedAtMs: entry.startedAtMs ?? now(),
    finishedAtMs: now(),
  });
  function record(entry: Entry, how: AttemptRecord["how"], reason: string): void {
    entry.history.push({
      attempt: entry.attempt,
      worker_id: entry.workerId,
      started_at: new Date(entry.startedAtMs!).toISOString(),
      ended_at: new Date(now()).toISOString(),
      how,
      reason,
    });
  }

  function admit(spec: JobSpec): "duplicate" | { version: number } {
    const old = jobs.get(spec.id);
    if (!old) return { version: 0 };
    if (old.spec.dispatch > spec.dispatch) throw new StaleDispatchError(spec.id, spec.dispatch);
    if (old.spec.dispatch === spec.dispatch) return "duplicate";
    if (waits(old) && old.dueMs === undefined) fair.remove(old);
    if (old.status === "running") endRun(old);
    return { version: old.version };
  }
  function place(entry: Entry | undefined): number {
    return entry && waits(entry) && entry.dueMs === undefined ? fair.place(entry) : 0;
  }
  function newEntry(given: JobSpec, cost: number, version: number): Entry {
    const spec = structuredClone(given);
    const entry: Entry = {
      spec,
      lane: laneOf(spec),
      seq: ++seq,
      cost,
      attempt: 0,
      tried: 0,
      stalls: 0,
      status: "queued",
      version,
      atMs: now(),
      workerId: "",
      cancelRequested: false,
      passes: 0,
      history: [],
      ...(spec.deadline_at === undefined ? {} : { deadlineMs: Date.parse(spec.deadline_at) }),
    };
    jobs.set(spec.id, entry);
    return entry;
  }

  /** Ends a job that waits, as an attempt of its own that no worker ran. */
  function endWaiting(entry: Entry, end: (ending: ReturnType<typeof endingOf>) => Completion) {
    if (entry.dueMs === undefined) fair.remove(entry);
    fair.settle();
    delete entry.dueMs;
    entry.attempt++;
    offer(entry, end({ ...endingOf(entry), startedAtMs: now() }));
  }
  function endOverdue(): ReapedRun[] {
    return [...jobs.values()]
      .filter((entry) => waits(entry) && (entry.deadlineMs ?? Infinity) <= now())
      .toSorted((a, b) => a.deadlineMs! - b.deadlineMs! || (a.spec.id < b.spec.id ? -1 : 1))
      .map((entry) => {
        endWaiting(entry, overdue);
        return { jobId: entry.spec.id, epoch: epochOf(entry), outcome: "deadline_exceeded" };
      });
  }

  /** Ends an attempt by an error. */
  function giveUp(
    entry: Entry,
    pauseMs: number,
    attempts: number,
    reason: string,
    end: (ending: ReturnType<typeof endingOf>) => Completion,
  ): "requeued" | "failed" {
    record(entry, "error", reason);
    entry.tried++;
    if (entry.tried < attempts) {
      entry.stalls = 0;
      waitAgain(entry, pauseMs);
      return "requeued";
    }
    endRun(entry);
    const completion = end(endingOf(entry));
    offer(entry, completion);
    bury(entry, completion, reason);
    return "failed";
  }
  function finishRun(entry: Entry, completion: Completion): void {
    endRun(entry);
    entry.progress = 1;
    entry.finishedAttempt = entry.attempt;
    offer(entry, completion);
  }

  function reap(): ReapedRun[] {
    promote();
    const over = [...jobs.values()]
      .filter((entry) => entry.status === "running" && entry.leaseExpiresAtMs! <= now())
      .toSorted(
        (a, b) => a.leaseExpiresAtMs! - b.leaseExpiresAtMs! || (a.spec.id < b.spec.id ? -1 : 1),
      );
    const late = endOverdue();
    const reaped = over.map((entry): ReapedRun => {
      const jobId = entry.spec.id;
      const epoch = epochOf(entry);
      record(entry, "stalled", STALLED);
      if (entry.cancelRequested) {
        endRun(entry);
        offer(entry, canceled(endingOf(entry)));
        return { jobId, epoch, outcome: "canceled" };
      }
      entry.stalls++;
      if (entry.stalls < maxStalls) {
        waitAgain(entry, 0);
        return { jobId, epoch, outcome: "requeued" };
      }
      endRun(entry);
      const completion = exhausted({ ...endingOf(entry), reason: STALLED });
      offer(entry, completion);
      bury(entry, completion, STALLED);
      return { jobId, epoch, outcome: "failed" };
    });
    return [...reaped, ...late];
  }

  /** The runs taken, and whether asking again at once can bring more. */
  function take(terms: ClaimOptions & { max: number }): { runs: Run[]; again: boolean } {
    const { workerId, maxEstimateS, maxVersion = SPEC_VERSION, max } = terms;
    promote();
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
      changed(entry);
      const job = {
        id: entry.spec.id,
        tenantId: entry.spec.tenant_id,
        dispatch: entry.spec.dispatch,
      };
      const read = readSpec(JSON.stringify(entry.spec), job);
      if (read.unreadable) {
        entry.spec = read.spec;
        giveUp(entry, 0, 0, "its specification could not be read", unreadable);
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
      const woken = Promise.withResolvers<void>();
      const wake = () => woken.resolve();
      const ignore = on("w", wake);
      const timer = setTimeout(wake, LOOK_EVERY_MS);
      signal.addEventListener("abort", wake, { once: true });
      closed.signal.addEventListener("abort", wake, { once: true });
      try {
        await woken.promise;
      } finally {
        ignore();
        clearTimeout(timer);
        signal.removeEventListener("abort", wake);
        closed.signal.removeEventListener("abort", wake);
      }
    }
    return [];
  }

  function look(jobId: string): JobSnapshot | undefined {
    const entry = jobs.get(jobId);
    if (!entry) return undefined;
    const { status, startedAtMs, progress } = entry;
    return {
      tenantId: entry.spec.tenant_id,
      version: entry.version,
      state: {
        status: status === "offered" ? "running" : status,
        epoch: epochOf(entry),
        ...(startedAtMs === undefined ? {} : { started_at: new Date(startedAtMs).toISOString() }),
        ...(status === "queued" ? { queue_position: place(entry) } : {}),
        ...(progress === undefined ? {} : { progress }),
      },
    };
  }

  return {
    offers,

    async submit(spec, { estimateS = DEFAULT_ESTIMATE_S } = {}) {
      const admitted = admit(spec);
      if (admitted === "duplicate") {
        return { duplicate: true, queue_position: place(jobs.get(spec.id)) };
      }
      const cost = Math.max(1, Math.round(estimateS * 1000));
      const entry = newEntry(spec, cost, admitted.version);
      const startMs = spec.not_before === undefined ? 0 : Date.parse(spec.not_before);
      if (startMs > now()) entry.atMs = entry.dueMs = startMs;
      else enqueue(entry);
      fair.settle();
      changed(entry);
      return { duplicate: false, queue_position: place(entry) };
    },

    async submitFinished(spec, complete) {
      const admitted = admit(spec);
      if (admitted === "duplicate") return { duplicate: true, queue_position: 0 };
      fair.settle();
      const entry = newEntry(spec, 0, admitted.version);
      const startedAtMs = now();
      Object.assign(entry, { attempt: 1, finishedAttempt: 1, startedAtMs, progress: 1 });
      offer(entry, complete({ spec, epoch: epochOf(entry), startedAtMs }));
      return { duplicate: false, queue_position: 0 };
    },

    claimMany,
    async claim(terms) {
      return (await claimMany({ ...terms, max: 1 }))[0];
    },

    async renew(run) {
      const entry = holder(run);
      if (!entry) return undefined;
      entry.leaseExpiresAtMs = now() + leaseMs;
      return {
        leaseExpiresAtMs: entry.leaseExpiresAtMs,
        cancelRequested: entry.cancelRequested,
      };
    },

    async progress(run, fraction) {
      const entry = holder(run);
      if (!entry) return false;
      entry.progress = fraction;
      changed(entry);
      return true;
    },

    async finish(run, completion) {
      const entry = holder(run);
      if (!entry) return newest(run)?.finishedAttempt === run.epoch.attempt ? "offered" : "fenced";
      finishRun(entry, completion);
      return "offered";
    },

    async release(run, how) {
      const entry = holder(run);
      if (!entry) return "fenced";
      if (how.because === "deadline") {
        finishRun(entry, overdue(endingOf(entry)));
        return "deadline_exceeded";
      }
      if (how.because === "cancel" || entry.cancelRequested) {
        finishRun(entry, canceled(endingOf(entry)));
        return "canceled";
      }
      if (how.because === "drain") {
        waitAgain(entry, 0);
        return "requeued";
      }
      const { code, retryable, reason } = how;
      const pauseMs = retryPauseMs(code, run.triedBefore, retry);
      return giveUp(entry, pauseMs, retryable ? maxAttempts : 0, reason, (ending) =>
        retryable ? exhausted({ ...ending, reason }) : failed({ ...ending, code, detail: reason }),
      );
    },

    async cancel(jobId) {
      const entry = jobs.get(jobId);
      if (!entry) return "unknown";
      if (waits(entry)) {
        endWaiting(entry, canceled);
        return "canceled";
      }
      if (entry.status !== "running") return "too_late";
      entry.cancelRequested = true;
      call(`c${jobId}`);
      return "canceling";
    },
    onCancel: (jobId, listener) => on(`c${jobId}`, listener),

    reap: async () => reap(),

    async state(jobId) {
      return look(jobId);
    },
    watch: (jobId, { afterVersion, signal }) =>
      watchJob({
        look: async () => look(jobId),
        listen: (listener) => on(`s${jobId}`, listener),
        ...(afterVersion === undefined ? {} : { afterVersion }),
        signal: AbortSignal.any([signal, closed.signal]),
      }),

    async load() {
      const all = [...jobs.values()];
      const waiting = all.filter((entry) => waits(entry) && entry.dueMs === undefined);
      const classes = Object.fromEntries(
        priorities.map((priority): [Priority, ClassLoad] => {
          const own = waiting.filter(({ lane }) => classOf(lane) === priority);
          const ages = own.filter((entry) => !fair.isHeld(entry)).map(({ atMs }) => now() - atMs);
          const cost = own.reduce((sum, entry) => sum + entry.cost, 0);
          return [
            priority,
            { jobs: own.length, computeS: cost / 1000, oldestWaitMs: Math.max(0, ...ages) },
          ];
        }),
      ) as Record<Priority, ClassLoad>;
      return {
        waiting: waiting.length,
        computeS: waiting.reduce((sum, { cost }) => sum + cost, 0) / 1000,
        running: all.filter(({ status }) => status === "running").length,
        delayed: all.filter(({ dueMs }) => dueMs !== undefined).length,
        dead: letters.count(),
        classes,
      };
    },

    async reportLoad(report) {
      reports.set(report.worker_id, {
        report: { ...report, reported_at_ms: now() },
        untilMs: now() + report.ttl_ms,
      });
    },
    async workers() {
      for (const [id, { untilMs }] of reports) if (untilMs <= now()) reports.delete(id);
      const workers = [...reports.values()].map(({ report }) => report);
      return {
        nowMs: now(),
        workers: workers.toSorted((a, b) => (a.worker_id < b.worker_id ? -1 : 1)),
      };
    },

    deadLetters: letters,

    async ping() {},
    async close() {
      closed.abort();
    },
  };
}
