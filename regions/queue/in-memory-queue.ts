import type { JobSpec, JobStatus } from "../../shared/contracts/job.ts";
import { priorities } from "../../shared/contracts/job.ts";
import { claimOrder } from "./claim-order.ts";
import { exhausted } from "./exhausted.ts";
import { MAX_ATTEMPTS, StaleDispatchError } from "./queue-port.ts";
import type { Completion, Queue, ReapedRun, Run } from "./queue-port.ts";

interface Entry {
  spec: JobSpec;
  attempt: number;
  tried: number;
  status: JobStatus | "offered";
  finishedAttempt?: number;
  startedAtMs?: number;
  leaseExpiresAtMs?: number;
  progress?: number;
}

const byExpiry = (a: Entry, b: Entry) =>
  a.leaseExpiresAtMs! - b.leaseExpiresAtMs! || (a.spec.id < b.spec.id ? -1 : 1);

export interface InMemoryQueueOptions {
  region: string;
  leaseMs?: number;
  maxAttempts?: number;
  /** Unix ms. */
  now?: () => number;
}

export interface InMemoryQueue extends Queue {
  /** What has been offered and not yet taken, oldest first. */
  offers: Completion[];
}

/** A queue within one process, for tests and simulations; its jobs end with the process. */
export function createInMemoryQueue(options: InMemoryQueueOptions): InMemoryQueue {
  const { region, leaseMs = 10_000, maxAttempts = MAX_ATTEMPTS, now = Date.now } = options;
  const jobs = new Map<string, Entry>();
  const lines = new Map(priorities.map((priority) => [priority, [] as Entry[]]));
  const offers: Completion[] = [];
  const wakeUps = new Set<() => void>();
  let claims = 0;

  const lineOf = (entry: Entry) => lines.get(entry.spec.priority)!;

  function enqueue(entry: Entry): void {
    entry.status = "queued";
    delete entry.leaseExpiresAtMs;
    delete entry.progress;
    lineOf(entry).push(entry);
    for (const wake of wakeUps) wake();
  }

  function dequeue(entry: Entry): void {
    const line = lineOf(entry);
    const index = line.indexOf(entry);
    if (index >= 0) line.splice(index, 1);
  }

  function ahead(entry: Entry): number {
    if (entry.status !== "queued") return 0;
    let count = lineOf(entry).indexOf(entry);
    for (const priority of priorities.slice(0, priorities.indexOf(entry.spec.priority))) {
      count += lines.get(priority)!.length;
    }
    return count;
  }

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

  function endAttempt(entry: Entry, reason: string): "requeued" | "exhausted" {
    entry.tried++;
    if (entry.tried < maxAttempts) {
      enqueue(entry);
      return "requeued";
    }
    offers.push(
      exhausted({
        spec: entry.spec,
        epoch: { dispatch: entry.spec.dispatch, attempt: entry.attempt },
        region,
        startedAtMs: entry.startedAtMs!,
        finishedAtMs: now(),
        reason,
      }),
    );
    entry.status = "offered";
    return "exhausted";
  }

  function tryClaim(): Run | undefined {
    for (const priority of claimOrder(claims)) {
      const entry = lines.get(priority)!.shift();
      if (!entry) continue;
      claims++;
      entry.attempt++;
      entry.status = "running";
      entry.progress = 0;
      entry.startedAtMs = now();
      entry.leaseExpiresAtMs = now() + leaseMs;
      return {
        spec: entry.spec,
        epoch: { dispatch: entry.spec.dispatch, attempt: entry.attempt },
        triedBefore: entry.tried,
        startedAtMs: entry.startedAtMs,
        leaseExpiresAtMs: entry.leaseExpiresAtMs,
      };
    }
    return undefined;
  }

  // On its way to the whole port.
  return {
    offers,

    async submit(spec) {
      const old = jobs.get(spec.id);
      if (old && old.spec.dispatch > spec.dispatch) {
        throw new StaleDispatchError(spec.id, spec.dispatch);
      }
      if (old?.spec.dispatch === spec.dispatch) {
        return { duplicate: true, queue_position: ahead(old) };
      }
      if (old) dequeue(old);
      const entry: Entry = { spec: structuredClone(spec), attempt: 0, tried: 0, status: "queued" };
      jobs.set(spec.id, entry);
      enqueue(entry);
      return { duplicate: false, queue_position: ahead(entry) };
    },

    async claim({ signal }) {
      while (!signal.aborted) {
        const run = tryClaim();
        if (run) return run;
        const woken = Promise.withResolvers<void>();
        const wake = () => woken.resolve();
        wakeUps.add(wake);
        signal.addEventListener("abort", wake, { once: true });
        try {
          await woken.promise;
        } finally {
          wakeUps.delete(wake);
          signal.removeEventListener("abort", wake);
        }
      }
      return undefined;
    },

    async renew(run) {
      const entry = holder(run);
      if (entry) entry.leaseExpiresAtMs = now() + leaseMs;
      return entry && { leaseExpiresAtMs: entry.leaseExpiresAtMs!, cancelRequested: false };
    },

    async progress(run, fraction) {
      const entry = holder(run);
      if (entry) entry.progress = fraction;
      return entry !== undefined;
    },

    async finish(run, completion) {
      const entry = holder(run);
      if (!entry) return newest(run)?.finishedAttempt === run.epoch.attempt ? "offered" : "fenced";
      offers.push(completion);
      entry.status = "offered";
      entry.progress = 1;
      entry.finishedAttempt = run.epoch.attempt;
      return "offered";
    },

    async release(run, options) {
      const countAttempt = options.because === "error";
      const reason = options.because === "error" ? options.reason : "the worker stopped";
      const entry = holder(run);
      if (!entry) return "fenced";
      if (countAttempt) return endAttempt(entry, reason);
      enqueue(entry);
      return "requeued";
    },

    async reap() {
      const reaped: ReapedRun[] = [];
      const over = [...jobs.values()]
        .filter((entry) => entry.status === "running" && entry.leaseExpiresAtMs! <= now())
        .toSorted(byExpiry);
      for (const entry of over) {
        const epoch = { dispatch: entry.spec.dispatch, attempt: entry.attempt };
        const outcome = endAttempt(entry, "the worker stopped answering");
        reaped.push({ jobId: entry.spec.id, epoch, outcome });
      }
      return reaped;
    },

    async state(jobId) {
      const entry = jobs.get(jobId);
      if (!entry) return undefined;
      const { status, startedAtMs, progress } = entry;
      return {
        tenantId: entry.spec.tenant_id,
        state: {
          status: status === "offered" ? "running" : status,
          epoch: { dispatch: entry.spec.dispatch, attempt: entry.attempt },
          ...(startedAtMs === undefined ? {} : { started_at: new Date(startedAtMs).toISOString() }),
          ...(status === "queued" ? { queue_position: ahead(entry) } : {}),
          ...(progress === undefined ? {} : { progress }),
        },
      };
    },

    async load() {
      const all = [...jobs.values()];
      return {
        waiting: all.filter((entry) => entry.status === "queued").length,
        running: all.filter((entry) => entry.status === "running").length,
      };
    },

    async ping() {},
    async close() {},
  } as Partial<InMemoryQueue> as InMemoryQueue;
}
