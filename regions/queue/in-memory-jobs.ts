import type { JobSpec } from "../../shared/contracts/job.ts";
import { canceled, type Ending } from "./completion.ts";
import { exhausted, overdue, STALLED } from "./endings.ts";
import { createFairLanes } from "./fair-lanes.ts";
import { createInMemoryDeadLetters } from "./in-memory-dead-letters.ts";
import type { InMemoryEntry as Entry } from "./in-memory-entry.ts";
import type { InMemorySignals } from "./in-memory-signals.ts";
import { laneOf } from "./lanes.ts";
import type { AttemptRecord, Completion, JobSnapshot, ReapedRun, Run } from "./queue-port.ts";
import { StaleDispatchError } from "./queue-port.ts";

export interface InMemoryJobsOptions {
  region: string;
  maxStalls: number;
  /** Unix ms. */
  now(): number;
  /** Told `w` when something waits, `s<id>` when a job changes. */
  signals: InMemorySignals;
}

export const epochOf = ({ spec, attempt }: Entry) => ({ dispatch: spec.dispatch, attempt });
export const waits = (entry: Entry) => entry.status === "queued";

/** The jobs of a queue within one process, and how each goes from one state to the next. */
export function createInMemoryJobs({ region, maxStalls, now, signals }: InMemoryJobsOptions) {
  const jobs = new Map<string, Entry>();
  const fair = createFairLanes();
  const offers: Completion[] = [];
  const letters = createInMemoryDeadLetters();
  let seq = 0;

  function changed(entry: Entry): void {
    entry.version++;
    signals.call(`s${entry.spec.id}`);
  }

  function enqueue(entry: Entry): void {
    delete entry.dueMs;
    fair.add(entry);
    signals.call("w");
  }
  function endRun(entry: Entry): void {
    delete entry.leaseExpiresAtMs;
    if (fair.ended(entry)) signals.call("w");
  }
  /** A run's job waits again, perhaps after a pause. */
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
  /** What was delayed and is due waits from now on. */
  function promote(): void {
    const due = [...jobs.values()].filter((entry) => (entry.dueMs ?? Infinity) <= now());
    for (const entry of due.toSorted((a, b) => a.dueMs! - b.dueMs!)) {
      entry.atMs = now();
      enqueue(entry);
    }
  }

  /** The entry of a run that is the newest of its job. */
  function newest(run: Run): Entry | undefined {
    const entry = jobs.get(run.spec.id);
    const { dispatch, attempt } = run.epoch;
    return entry?.spec.dispatch === dispatch && entry.attempt === attempt ? entry : undefined;
  }
  /** The same, while its lease holds. */
  function holder(run: Run): Entry | undefined {
    const entry = newest(run);
    return entry?.status === "running" && entry.leaseExpiresAtMs! > now() ? entry : undefined;
  }
  const endingOf = (entry: Entry): Ending => ({
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

  /**
   * Whether a job may come in; what an older dispatch of it left is undone.
   * @throws StaleDispatchError
   */
  function admit(spec: JobSpec): "duplicate" | { version: number } {
    const old = jobs.get(spec.id);
    if (!old) return { version: 0 };
    if (old.spec.dispatch > spec.dispatch) throw new StaleDispatchError(spec.id, spec.dispatch);
    if (old.spec.dispatch === spec.dispatch) return "duplicate";
    if (waits(old) && old.dueMs === undefined) fair.remove(old);
    if (old.status === "running") endRun(old);
    return { version: old.version };
  }
  /** About how many go first. */
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
  function endWaiting(entry: Entry, end: (ending: Ending) => Completion) {
    if (entry.dueMs === undefined) fair.remove(entry);
    fair.settle();
    delete entry.dueMs;
    entry.attempt++;
    offer(entry, end({ ...endingOf(entry), startedAtMs: now() }));
  }
  /** Ends what waited past its deadline. */
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
    end: (ending: Ending) => Completion,
  ): "requeued" | "failed" {
    record(entry, "error", reason);
    entry.tried++;
    if (entry.tried < attempts) {
      entry.stalls = 0;
      waitAgain(entry, pauseMs);
      return "requeued";
    }
    return failRun(entry, reason, end);
  }
  /** Ends a run and its job, with a dead letter. */
  function failRun(entry: Entry, reason: string, end: (ending: Ending) => Completion): "failed" {
    endRun(entry);
    const completion = end(endingOf(entry));
    offer(entry, completion);
    bury(entry, completion, reason);
    return "failed";
  }
  /** Ends a run with its outcome. */
  function finishRun(entry: Entry, completion: Completion): void {
    endRun(entry);
    entry.progress = 1;
    entry.finishedAttempt = entry.attempt;
    offer(entry, completion);
  }

  /** Ends an attempt whose worker fell silent. */
  function giveUpStalled(entry: Entry): ReapedRun["outcome"] {
    record(entry, "stalled", STALLED);
    if (entry.cancelRequested) {
      endRun(entry);
      offer(entry, canceled(endingOf(entry)));
      return "canceled";
    }
    entry.stalls++;
    if (entry.stalls < maxStalls) {
      waitAgain(entry, 0);
      return "requeued";
    }
    return failRun(entry, STALLED, (ending) => exhausted({ ...ending, reason: STALLED }));
  }

  /** What is known of a job. */
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
    jobs,
    fair,
    offers,
    letters,
    changed,
    enqueue,
    waitAgain,
    offer,
    promote,
    newest,
    holder,
    endingOf,
    admit,
    place,
    newEntry,
    endWaiting,
    endOverdue,
    giveUp,
    giveUpStalled,
    finishRun,
    look,
  };
}
