import type { JobSpec, JobStatus } from "../../shared/contracts/job.ts";
import type { AttemptRecord } from "./queue-port.ts";

/** A job as the queue keeps it. */
export interface InMemoryEntry {
  spec: JobSpec;
  lane: number;
  seq: number;
  /** Compute-milliseconds. */
  cost: number;
  /** Virtual time at which it starts; absent before it has come into its lane. */
  tag?: number;
  attempt: number;
  tried: number;
  stalls: number;
  status: JobStatus | "offered";
  version: number;
  /** Since when it could have started. */
  atMs: number;
  deadlineMs?: number;
  /** When it may start; absent unless it is delayed. */
  dueMs?: number;
  workerId: string;
  startedAtMs?: number;
  leaseExpiresAtMs?: number;
  progress?: number;
  finishedAttempt?: number;
  cancelRequested: boolean;
  passes: number;
  passedAtMs?: number;
  history: AttemptRecord[];
}
