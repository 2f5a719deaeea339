import { z } from "zod";
import { ErrorCode } from "../../shared/errors/catalogue.ts";
import type { JobSpec } from "../../shared/contracts/job.ts";
import { STALLED } from "./endings.ts";
import { laneOf, lanes } from "./lanes.ts";
import type { AttemptRecord, DeadLetter } from "./queue-port.ts";

/** The dead letter of a job that failed on every attempt keeps so many of the last ones. */
const HISTORY = 20;

const Attempt = z.strictObject({
  attempt: z.number(),
  worker_id: z.string(),
  started_at: z.string(),
  ended_at: z.string(),
  how: z.enum(["error", "stalled"]),
  reason: z.string(),
});

const QueuedJob = z.object({
  v: z.literal(1),
  id: z.string().min(1),
  tenantId: z.string(),
  dispatch: z.int().min(1),
  lane: z.int().min(1).max(lanes.length),
  /** Version of the specification, for workers that do not know it. */
  specVersion: z.number(),
  costMs: z.number(),
  /** Attempts that earlier messages of this job gave away; receives of this one come on top. */
  base: z.int().min(0),
  /** Of them, how many ended in an error, and how many were lost in a row since the last of those. */
  tried: z.int().min(0),
  stalls: z.int().min(0),
  /** Unix ms. */
  dueMs: z.number().optional(),
  deadlineMs: z.number().optional(),
  history: z.array(Attempt),
  spec: z.string(),
});

/** A job as a message carries it. What its receives changed since is not in it: see `afterReceives`. */
export type QueuedJob = z.infer<typeof QueuedJob>;

export function newJob(spec: JobSpec, estimateS: number): QueuedJob {
  return {
    v: 1,
    id: spec.id,
    tenantId: spec.tenant_id,
    dispatch: spec.dispatch,
    lane: laneOf(spec),
    specVersion: spec.v,
    costMs: Math.max(1, Math.round(estimateS * 1000)),
    base: 0,
    tried: 0,
    stalls: 0,
    ...(spec.not_before === undefined ? {} : { dueMs: Date.parse(spec.not_before) }),
    ...(spec.deadline_at === undefined ? {} : { deadlineMs: Date.parse(spec.deadline_at) }),
    history: [],
    spec: JSON.stringify(spec),
  };
}

/**
 * The job after a message was received `receives` times: each receive is an attempt, and all but the last were lost by whoever had
 * them, at a time and by a worker that SQS does not tell.
 */
export function afterReceives(job: QueuedJob, receives: number, nowMs: number): QueuedJob {
  const lost = Math.max(0, receives - 1);
  const noticed = new Date(nowMs).toISOString();
  const stalled = Array.from({ length: Math.min(lost, HISTORY) }, (_, n): AttemptRecord => ({
    attempt: job.base + lost - Math.min(lost, HISTORY) + n + 1,
    worker_id: "unknown",
    started_at: noticed,
    ended_at: noticed,
    how: "stalled",
    reason: STALLED,
  }));
  return {
    ...job,
    base: job.base + Math.max(1, receives),
    stalls: job.stalls + lost,
    history: [...job.history, ...stalled].slice(-HISTORY),
  };
}

/** The job after an attempt that ended in an error: its stalls are forgiven. */
export function afterError(job: QueuedJob, record: AttemptRecord, dueMs: number): QueuedJob {
  return {
    ...job,
    tried: job.tried + 1,
    stalls: 0,
    dueMs,
    history: [...job.history, record].slice(-HISTORY),
  };
}

/** What is to become of a job that was just received: `base` counts this receive already. */
export function judge(
  job: QueuedJob,
  by: { nowMs: number; maxStalls: number; maxVersion: number },
): "run" | "stalled" | "overdue" | "early" | "newer" {
  if (job.stalls >= by.maxStalls) return "stalled";
  if ((job.deadlineMs ?? Infinity) <= by.nowMs) return "overdue";
  if ((job.dueMs ?? 0) > by.nowMs) return "early";
  return job.specVersion > by.maxVersion ? "newer" : "run";
}

/** Undefined for what is no job that this code knows. */
export function readJob(body: string): QueuedJob | undefined {
  return read(QueuedJob, body);
}

const Letter: z.ZodType<DeadLetter> = z.object({
  id: z.string(),
  jobId: z.string(),
  tenantId: z.string(),
  epoch: z.object({ dispatch: z.number(), attempt: z.number() }),
  at: z.string(),
  code: ErrorCode.catch("internal"),
  reason: z.string(),
  history: z.array(Attempt),
  spec: z.string(),
  replayedAs: z.string().exactOptional(),
});

export function readLetter(body: string): DeadLetter | undefined {
  return read(Letter, body);
}

function read<T>(schema: z.ZodType<T>, body: string): T | undefined {
  try {
    return schema.safeParse(JSON.parse(body)).data;
  } catch {
    return undefined;
  }
}

/**
 * JSON in characters that SQS takes: U+FFFE and U+FFFF, which JSON leaves as they are, it refuses. What lies beyond is escaped with
 * them, since not every server of this protocol takes it.
 */
export function messageText(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\uD800-\uDFFF\uFFFE\uFFFF]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16)}`,
  );
}
