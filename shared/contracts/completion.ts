import { z } from "zod";
import { AudioFacts } from "./analysis-result.ts";
import { Epoch } from "./epoch.ts";
import { JobId, SpeechId, TenantId } from "./ids.ts";
import { FinalStatus, JobCost, JobError, Metadata, UserId } from "./job.ts";
import { UsageUnit } from "./usage.ts";
import { JobWebhook } from "./webhook-url.ts";

/**
 * What a region offers to the ledger when a run has ended. The first offer that the ledger accepts is
 * final. It carries pointers and figures, never content: the ledger may lie in another jurisdiction.
 */
export const CompletionOffer = z
  .strictObject({
    job_id: JobId,
    tenant_id: TenantId,
    region: z.string(),
    epoch: Epoch,
    status: FinalStatus,
    error: JobError.optional(),
    /** Object key of the result in the region's bucket; absent unless the job succeeded. */
    result_key: z.string().optional(),
    /** Hash and form of the audio, for the signed URL; absent when it could not be read. */
    audio: AudioFacts.pick({ sha256: true, bytes: true, duration_s: true })
      .extend({ extension: z.string().regex(/^[a-z0-9]{1,8}$/) })
      .optional(),
    started_at: z.iso.datetime(),
    finished_at: z.iso.datetime(),
    cost: JobCost,
  })
  .meta({ id: "CompletionOffer" });
export type CompletionOffer = z.infer<typeof CompletionOffer>;

export const CompletionBatch = z.strictObject({ offers: z.array(CompletionOffer).min(1).max(100) });
export type CompletionBatch = z.infer<typeof CompletionBatch>;

/**
 * `accepted`: this offer is the job's final state (also when the same offer comes again).
 * `superseded`: another run's state is final, or a newer dispatch exists; this run must leave no trace.
 * `canceled`: the job was canceled while its region was away; this run ends as that, without its result.
 * `unknown`: the ledger has no such job (deleted, or never reserved).
 */
export const CompletionVerdict = z.strictObject({
  job_id: JobId,
  epoch: Epoch,
  verdict: z.enum(["accepted", "superseded", "canceled", "unknown"]),
});
export type CompletionVerdict = z.infer<typeof CompletionVerdict>;

export const CompletionVerdicts = z.strictObject({ verdicts: z.array(CompletionVerdict) });

/** One row of `usage_events`; unique by job and stage. */
export const UsageRow = z.strictObject({
  job_id: JobId,
  tenant_id: TenantId,
  stage: z.string(),
  quantity: z.number().min(0),
  unit: UsageUnit,
  usd: z.number().min(0),
});
export type UsageRow = z.infer<typeof UsageRow>;

/**
 * Bytes (JSON) of the largest result that an envelope holds. While the database is away envelopes wait in Redis, and the keeper reads
 * many at once: both are bounded by it. The batch writer reads a larger one from the bucket.
 */
export const MAX_ENVELOPE_RESULT_BYTES = 32 * 1024;

/**
 * The outbox envelope: what the batch writer carries into Postgres once the ledger has accepted a run.
 * `result` and the client's own `metadata` and `user_id` are content: null for residency-bound tenants. A result that is too large
 * lies at `result_key` alone.
 */
export const OutboxEnvelope = z
  .strictObject({
    v: z.literal(1),
    type: z.literal("job.final"),
    job: z.strictObject({
      id: JobId,
      tenant_id: TenantId,
      kind: z.string(),
      residency: z.enum(["global", "us", "eu", "in"]),
      region: z.string(),
      priority: z.string(),
      epoch: Epoch,
      status: FinalStatus,
      error_code: z.string().nullable(),
      user_id: UserId.nullable(),
      metadata: z.record(z.string(), z.string()).nullable(),
      audio_sha256: z.string().nullable(),
      audio_duration_s: z.number().nullable(),
      result_key: z.string().nullable(),
      created_at: z.iso.datetime(),
      started_at: z.iso.datetime(),
      finished_at: z.iso.datetime(),
      usd: z.number().min(0),
    }),
    result: z.record(z.string(), z.unknown()).nullable(),
    usage: z.array(UsageRow),
  })
  .meta({ id: "OutboxEnvelope" });
export type OutboxEnvelope = z.infer<typeof OutboxEnvelope>;

/** What a job's webhooks need to know besides: content, which stays in the region and goes to the client alone. */
export const RunWebhook = z.strictObject({
  /** The result (JSON) that may be kept nowhere, sealed; see regions/results/sealed-result.ts. */
  sealed: z.string().optional(),
  own: JobWebhook.optional(),
  user_id: UserId.optional(),
  metadata: Metadata.optional(),
});
export type RunWebhook = z.infer<typeof RunWebhook>;

/**
 * Usage of work that is no job, such as speech that was made while its client listened. `id` says when; rows are unique by
 * it and stage. It goes through the outbox too.
 */
export const UsageEnvelope = z
  .strictObject({
    v: z.literal(1),
    type: z.literal("usage"),
    id: SpeechId,
    tenant_id: TenantId,
    usage: z
      .array(UsageRow.omit({ job_id: true, tenant_id: true }))
      .min(1)
      .max(20),
  })
  .meta({ id: "UsageEnvelope" });
export type UsageEnvelope = z.infer<typeof UsageEnvelope>;

/** Whatever the outbox carries. */
export const OutboxEntry = z.discriminatedUnion("type", [OutboxEnvelope, UsageEnvelope]);
export type OutboxEntry = z.infer<typeof OutboxEntry>;
