import {
  mintJobId,
  mintUploadId,
  systemIdSource,
  type IdSource,
} from "../../shared/contracts/ids.ts";
import { JobSpec } from "../../shared/contracts/job.ts";
import { findRegion } from "../../shared/contracts/regions.ts";
import { failed } from "../../regions/queue/completion.ts";
import type { ClaimOptions, Completion, Queue, Run } from "../../regions/queue/queue-port.ts";
import type { RetryPauses } from "../../regions/queue/retry-pause.ts";

export const LEASE_MS = 1000;
export const REGION = "us-east";

export interface QueueHarness {
  queue: Queue;
  /** All that was offered so far, oldest first. */
  offers(): Promise<Completion[]>;
  close(): Promise<void>;
}

/** Makes a queue with leases of LEASE_MS in REGION that reads its time from `now`, and pauses as `retry` says. */
export type OpenQueue = (now: () => number, retry: RetryPauses) => Promise<QueueHarness>;

/** One test's queue, its clock, and what tests do with them again and again. */
export interface QueueBench extends QueueHarness {
  /** Lets time pass. */
  wait(ms: number): void;
  now(): number;
  claim(options?: Partial<ClaimOptions>): Promise<Run>;
  /** Every run that can be had now, without waiting for more. */
  claimAll(options?: Partial<ClaimOptions> & { max?: number }): Promise<Run[]>;
  finish(run: Run): Promise<"offered" | "fenced">;
}

/** Pauses are half of this, doubled with each attempt: 500 ms, 1 s, 2 s. */
export const RETRY = { baseMs: 1000, mostMs: 4000, random: () => 0.5 };

export const failing = {
  because: "error",
  code: "internal",
  retryable: true,
  reason: "no bucket",
} as const;

const home = findRegion(REGION)!;

/** Ids in the order they are made, each a millisecond after the one before: what began to wait at the same time goes in that order. */
let lastMs = Date.UTC(2026, 0, 1);
const inOrder: IdSource = { ...systemIdSource, now: () => ++lastMs };

export function jobSpec(changes: Partial<JobSpec> = {}): JobSpec {
  return JobSpec.parse({
    v: 1,
    id: mintJobId(home, inOrder),
    kind: "analysis",
    tenant_id: "ten_demo",
    residency: "global",
    dispatch: 1,
    priority: "standard",
    parts: ["voice_activity"],
    upload_id: mintUploadId(home),
    created_at: "2026-01-01T00:00:00.000Z",
    request_id: "req_test",
    ...changes,
  });
}

/** Some valid end of a run. */
export function endOf(run: Run, finishedAtMs: number): Completion {
  return failed({ ...run, region: REGION, finishedAtMs, code: "audio_empty" });
}
