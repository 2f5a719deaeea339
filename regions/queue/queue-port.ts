import type { JobSpec } from "../../shared/contracts/job.ts";
import type { CompletionOffer, OutboxEnvelope } from "../../shared/contracts/completion.ts";
import type { Epoch } from "../../shared/contracts/epoch.ts";
import type { RegionJobState } from "../../shared/contracts/internal-api.ts";

/** How many counted attempts a job has before it ends as failed. */
export const MAX_ATTEMPTS = 3;

/** One worker's claim on a job. Times in Unix milliseconds of the queue's clock. */
export interface Run {
  spec: JobSpec;
  epoch: Epoch;
  /** Counted attempts that ended before this one; `epoch.attempt` also counts those handed back. */
  triedBefore: number;
  startedAtMs: number;
  leaseExpiresAtMs: number;
}

/** What ends a run: for the ledger, and for the database once the ledger has accepted it. */
export interface Completion {
  offer: CompletionOffer;
  envelope: OutboxEnvelope;
}

export interface SubmitOutcome {
  duplicate: boolean;
  /** Jobs that go first, at most; 0 when the job is next, or no longer waits. */
  queue_position: number;
}

export interface ReleaseOptions {
  /** False when the worker is to blame for nothing, as on a drain. */
  countAttempt: boolean;
  /** For the log and the failed job's detail; never shown with a driver's words. */
  reason: string;
}

/** `requeued`: waits again. `exhausted`: that was the last attempt, and its failure has been offered. */
export type ReleaseOutcome = "requeued" | "exhausted" | "fenced";

export interface ReapedRun {
  jobId: string;
  epoch: Epoch;
  outcome: "requeued" | "exhausted";
}

/**
 * The waiting and running jobs of a region. Every step is atomic and safe to repeat. A run is known by its epoch: with
 * a lease that is over, or an epoch that is no longer the newest, nothing can be renewed, handed back or finished.
 */
export interface Queue {
  /**
   * Takes a job, once for each dispatch. A newer dispatch replaces the runs of the older ones.
   * @throws StaleDispatchError when a newer dispatch of the job is here already
   */
  submit(spec: JobSpec): Promise<SubmitOutcome>;
  /** Waits for a job and takes a lease on it; undefined once `signal` is aborted. */
  claim(options: { workerId: string; signal: AbortSignal }): Promise<Run | undefined>;
  /** When the lease now ends (Unix ms), or undefined when it was lost. */
  renew(run: Run): Promise<number | undefined>;
  /** Notes how far a run is, 0 to 1; false when it was fenced. */
  progress(run: Run, fraction: number): Promise<boolean>;
  /** Ends a run with the offer of its outcome; repeating it offers nothing new. */
  finish(run: Run, completion: Completion): Promise<"offered" | "fenced">;
  /** Hands a run back before it ended, to the end of its line. */
  release(run: Run, options: ReleaseOptions): Promise<ReleaseOutcome>;
  /** Takes every run whose lease is over from its worker. Any process may call it, several at once too. */
  reap(): Promise<ReapedRun[]>;
  /** What is known of a job, and whose it is. */
  state(jobId: string): Promise<{ tenantId: string; state: RegionJobState } | undefined>;
  load(): Promise<{ waiting: number; running: number }>;
  /** Rejects while the queue cannot be reached. */
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
  constructor() {
    super("the queue cannot be reached");
    this.name = "QueueUnreachableError";
  }
}
