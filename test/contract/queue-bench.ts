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
  /** Resolves once the claim that has just begun has found nothing, and not before it has looked everywhere. */
  foundNothing(): Promise<void>;
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

/** Pauses are half of this, doubled with each attempt: 1 s, 2 s, 4 s. */
export const RETRY = { baseMs: 2000, mostMs: 8000, random: () => 0.5 };
/** The first of them. */
export const PAUSE_MS = 1000;

/**
 * What not every queue can. `once`: it knows each job, takes a dispatch once, and lets a newer one revoke the older. `arrival`: a
 * tenant's jobs go in order. `state`: it tells a job's state and place. `cancel`: it stops a job. `reaper`: `reap` itself ends
 * and hands on. `tenants`: shares between tenants, and their limits. `room`: passes over what does not fit. `figures`: compute-seconds
 * and ages of what waits. `workers`: their reports.
 */
export type Ability =
  | "once"
  | "arrival"
  | "state"
  | "cancel"
  | "reaper"
  | "tenants"
  | "room"
  | "figures"
  | "workers";

export type DefineTest = (name: string, test: () => Promise<void>, timeoutMs?: number) => void;

/** Defines a test for queues that can all of this; for others there is no such test. */
export type Needing = (...abilities: Ability[]) => DefineTest;

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
