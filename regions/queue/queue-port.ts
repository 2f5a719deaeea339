import type {
  CompletionOffer,
  OutboxEnvelope,
  RunWebhook,
} from "../../shared/contracts/completion.ts";
import type { Epoch } from "../../shared/contracts/epoch.ts";
import type { RegionJobState } from "../../shared/contracts/internal-api.ts";
import type { JobSpec, Priority } from "../../shared/contracts/job.ts";
import type { WorkerLoad } from "../../shared/contracts/load-report.ts";
import type { ErrorCode } from "../../shared/errors/catalogue.ts";

/** How many attempts a job has that end in an error of ours, before it ends as failed. */
export const MAX_ATTEMPTS = 3;

/** How many times a job may lose its worker without an error in between, before it ends as failed. */
export const MAX_STALLS = 3;

/** Compute-seconds of a job of which nothing is known. */
export const DEFAULT_ESTIMATE_S = 1;

/** One worker's claim on a job. Times in Unix milliseconds of the queue's clock, which all of a region share. */
export interface Run {
  workerId: string;
  spec: JobSpec;
  epoch: Epoch;
  /** Attempts that ended in an error before this one; `epoch.attempt` also counts stalls and hand-backs. */
  triedBefore: number;
  /** Expected compute-seconds, as they were when the job was submitted. */
  estimateS: number;
  startedAtMs: number;
  leaseExpiresAtMs: number;
  /** Milliseconds that were left to the job's deadline when it was claimed; absent without a deadline. */
  deadlineInMs?: number;
}

/** What ends a run: for the ledger, and for the database once the ledger has accepted it. */
export interface Completion {
  offer: CompletionOffer;
  envelope: OutboxEnvelope;
  /** For webhooks, once the ledger has accepted the run. */
  webhook?: RunWebhook;
  /** Key of the upload, where nothing of it may stay once the ledger has accepted the run. */
  spent?: string;
}

export interface SubmitOptions {
  /** Expected compute-seconds, by which tenants share the region and workers find what fits them. */
  estimateS?: number;
}

export interface SubmitOutcome {
  duplicate: boolean;
  /** About how many jobs go first; exact for a tenant that is alone. 0 when the job is next, or no longer waits. */
  queue_position: number;
}

/** Makes the completion of a job that ends without a worker. */
export type Complete = (run: Pick<Run, "spec" | "epoch" | "startedAtMs">) => Completion;

export interface ClaimOptions {
  workerId: string;
  signal: AbortSignal;
  /**
   * Room of a worker that has other work: jobs of more compute-seconds are passed over, within bounds (see PASSES), and
   * then hold back those behind them until a worker with room comes. An idle worker leaves this out, and takes anything.
   */
  maxEstimateS?: number;
  /** Newest version of a job's specification that the worker knows; newer ones are left to newer workers. */
  maxVersion?: number;
}

/** A job is passed over at most so often, and for at most so long, before it holds back what is behind it. */
export const PASSES = { most: 16, forMs: 30_000 } as const;

/** A lease that was put off; `cancelRequested`: the run's work is to stop and the run to end as canceled. */
export interface Renewal {
  leaseExpiresAtMs: number;
  cancelRequested: boolean;
}

/** Why a run is handed back before it ended. */
export type ReleaseOptions =
  /** The worker leaves; the job is to blame for nothing: it waits again at once, in its old place. */
  | { because: "drain" }
  /** A cancel was asked for: the job ends as canceled. */
  | { because: "cancel" }
  /** Its deadline has passed: the job ends as failed. */
  | { because: "deadline" }
  /** The attempt failed: the job is tried again after a pause while attempts are left, or ends at once if it cannot help. */
  | {
      because: "error";
      code: ErrorCode;
      retryable: boolean;
      /** For the log, the dead letter and the failed job's detail; never a driver's words. */
      reason: string;
    };

/**
 * `requeued`: waits again, perhaps after a pause. `failed`: its failure has been offered, and a dead letter tells of it.
 * `canceled`: a cancel was asked for, perhaps meanwhile, and has been offered. `deadline_exceeded`: that was offered. `fenced`: the
 * run had lost its lease.
 */
export type ReleaseOutcome = "requeued" | "failed" | "canceled" | "deadline_exceeded" | "fenced";

/** A job whose worker fell silent, or whose deadline passed while it waited. */
export interface ReapedRun {
  jobId: string;
  epoch: Epoch;
  outcome: "requeued" | "failed" | "canceled" | "deadline_exceeded";
}

/**
 * `canceled`: it waited, and its end has been offered. `canceling`: its worker has been told; it ends as canceled, unless it
 * comes to its own end first. `too_late`: it has ended.
 */
export type CancelOutcome = "canceled" | "canceling" | "too_late" | "unknown";

/** What is known of a job. `version` grows with every change, as long as the region knows the job. */
export interface JobSnapshot {
  tenantId: string;
  version: number;
  state: RegionJobState;
}

export interface ClassLoad {
  /** Jobs that could start now, if a worker took them (or that wait for their tenant's own limit). */
  jobs: number;
  /** Their expected compute-seconds. */
  computeS: number;
  /** How long the oldest of them has waited; 0 when none waits. Tenants at their own limit are left out. */
  oldestWaitMs: number;
}

/** What waits and runs. What waits is what a region scales by: `waiting`, `computeS` and the oldest wait. */
export interface QueueLoad {
  waiting: number;
  computeS: number;
  running: number;
  /** Jobs that are not to start yet: by `not_before`, or in the pause before a further attempt. */
  delayed: number;
  dead: number;
  /** Of those that wait, jobs that were met by workers too old for them, and are left to newer ones. */
  newer: number;
  classes: Record<Priority, ClassLoad>;
}

/** One attempt that did not come through. */
export interface AttemptRecord {
  attempt: number;
  worker_id: string;
  started_at: string;
  ended_at: string;
  how: "error" | "stalled";
  reason: string;
}

/** A job that failed through no fault of its recording. Its end has been offered; this is for the operator. */
export interface DeadLetter {
  id: string;
  jobId: string;
  tenantId: string;
  epoch: Epoch;
  at: string;
  code: ErrorCode;
  reason: string;
  history: AttemptRecord[];
  /** The specification as it was submitted; text, since it may be the very thing that is wrong. */
  spec: string;
  /** The new job that it was submitted again as. */
  replayedAs?: string;
}

/** A dead job stays final: a replay is a new job, made by the edge from the letter's specification. */
export interface DeadLetters {
  /** Oldest first. `after`: the id that the page before ended with. */
  list(options?: {
    after?: string;
    limit?: number;
  }): Promise<{ data: DeadLetter[]; next?: string }>;
  get(id: string): Promise<DeadLetter | undefined>;
  /**
   * Marks a letter with the id of the job that replays it, once: settles to the id that it carries from now on, which is
   * another when somebody was first. Undefined for an unknown letter.
   */
  markReplayed(id: string, newJobId: string): Promise<string | undefined>;
  /** Removes letters for good; settles to how many there were. */
  discard(ids: readonly string[] | "all"): Promise<number>;
}

/**
 * The waiting and running jobs of a region. Every step is atomic and safe to repeat. A run is known by its epoch: with
 * a lease that is over, or an epoch that is no longer the newest, nothing can be renewed, handed back or finished.
 *
 * Order: classes by priority, with a guaranteed share for the lower ones; within a class VIP tenants first, with a share for the
 * others; between tenants start-time fair queueing by expected compute-seconds; a tenant's own jobs by arrival.
 */
export interface Queue {
  /**
   * Takes a job, once for each dispatch. A newer dispatch replaces the runs of the older ones.
   * @throws StaleDispatchError when a newer dispatch of the job is here already
   * @throws QueueFullError, QueueUnreachableError (nothing was taken)
   */
  submit(spec: JobSpec, options?: SubmitOptions): Promise<SubmitOutcome>;
  /**
   * Takes a job whose result is known already, and ends it as attempt 1 in the same step. Idempotent by dispatch as `submit`,
   * and throws the same; of a dispatch that is here already nothing changes.
   */
  submitFinished(spec: JobSpec, complete: Complete): Promise<SubmitOutcome>;
  /** Waits for a job and takes a lease on it; undefined once `signal` is aborted. */
  claim(options: ClaimOptions): Promise<Run | undefined>;
  /** Waits until there is something to claim, and takes as many as there are, `max` at most; none once `signal` is aborted. */
  claimMany(options: ClaimOptions & { max: number }): Promise<Run[]>;
  /** Puts the end of the lease off; undefined when it was lost. Runs renewed at the same moment share one call. */
  renew(run: Run): Promise<Renewal | undefined>;
  /** Notes how far a run is, 0 to 1; false when it was fenced. */
  progress(run: Run, fraction: number): Promise<boolean>;
  /** Ends a run with the offer of its outcome; repeating it offers nothing new. */
  finish(run: Run, completion: Completion): Promise<"offered" | "fenced">;
  /** Hands a run back before it ended. */
  release(run: Run, options: ReleaseOptions): Promise<ReleaseOutcome>;
  /** Stops a job, wherever it is. */
  cancel(jobId: string): Promise<CancelOutcome>;
  /**
   * Calls `listener` at once when a cancel of the job is asked for, until the returned function is called. What gets lost on the
   * way the next renewal tells.
   */
  onCancel(jobId: string, listener: () => void): () => void;
  /**
   * Takes every run whose lease is over from its worker, ends what waited past its deadline, and promotes what is due. Any process
   * may call it, several at once too.
   */
  reap(): Promise<ReapedRun[]>;
  state(jobId: string): Promise<JobSnapshot | undefined>;
  /**
   * Each new state of a job, beginning with the present one unless that is `afterVersion`. States that follow each other quickly
   * may be passed over, never the last one. Ends after a final state, when the job is unknown, or once `signal` is aborted.
   */
  watch(
    jobId: string,
    options: { afterVersion?: number; signal: AbortSignal },
  ): AsyncIterable<JobSnapshot>;
  load(): Promise<QueueLoad>;
  /** Says what a worker has and can do; forgotten after the report's `ttl_ms`. The time of the report is the queue's. */
  reportLoad(report: Omit<WorkerLoad, "reported_at_ms">): Promise<void>;
  /** The reports that still count, by worker id; and the queue's time, to measure them by. */
  workers(): Promise<{ nowMs: number; workers: WorkerLoad[] }>;
  readonly deadLetters: DeadLetters;
  /** Rejects while the queue cannot be reached, or may not be used (see QueueUnsafeError). */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** A dispatch that came after a newer one of the same job: an old message, to be dropped. */
export class StaleDispatchError extends Error {
  constructor(jobId: string, dispatch: number) {
    super(`${jobId} has a newer dispatch than ${dispatch}`);
    this.name = "StaleDispatchError";
  }
}

/** The queue cannot be reached, and nothing was asked of it: trying elsewhere is safe. */
export class QueueUnreachableError extends Error {
  constructor(options?: ErrorOptions) {
    super("the queue cannot be reached", options);
    this.name = "QueueUnreachableError";
  }
}

/** The queue has no memory left for more jobs, and took nothing: trying elsewhere, or later, is safe. */
export class QueueFullError extends Error {
  constructor(options?: ErrorOptions) {
    super("the queue is full", options);
    this.name = "QueueFullError";
  }
}

/** The queue is set up in a way that loses jobs, so it is not used. */
export class QueueUnsafeError extends Error {
  constructor(reason: string) {
    super(`the queue would lose jobs: ${reason}`);
    this.name = "QueueUnsafeError";
  }
}
