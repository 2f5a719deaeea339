import { z } from "zod";
import { Epoch } from "./epoch.ts";
import { BatchId, JobId, Sha256Hex, TenantId, UploadId } from "./ids.ts";
import { ErrorCode } from "../errors/catalogue.ts";
import { speechSpeed, SpeechFormat, VoiceName } from "./speech.ts";
import { SpokenLanguage, TranscriptModel } from "./spoken-language.ts";
import { storableText } from "./storable-text.ts";
import { JobWebhook, WebhookUrl } from "./webhook-url.ts";

export const JobKind = z.enum(["analysis", "synthesis"]).meta({ id: "JobKind" });
export type JobKind = z.infer<typeof JobKind>;

export const JobStatus = z
  .enum(["queued", "running", "succeeded", "failed", "canceled"])
  .meta({ id: "JobStatus" });
export type JobStatus = z.infer<typeof JobStatus>;

export const FinalStatus = JobStatus.extract(["succeeded", "failed", "canceled"]);
export type FinalStatus = z.infer<typeof FinalStatus>;

export const Priority = z.enum(["interactive", "standard", "batch"]).meta({ id: "Priority" });
export type Priority = z.infer<typeof Priority>;

export const AnalysisPart = z
  .enum(["features", "voice_activity", "transcript", "emotion", "age", "sex", "speaking_rate"])
  .meta({ id: "AnalysisPart" });
export type AnalysisPart = z.infer<typeof AnalysisPart>;

/** Free key-value pairs of the client's own: at most 16, short. Content, as far as residency goes. */
export const Metadata = z
  .record(storableText(1, 64), storableText(0, 512))
  .refine((value) => Object.keys(value).length <= 16, "at most 16 entries")
  .meta({ id: "Metadata" });

export const UserId = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[\x21-\x7e]+$/, "must be printable ASCII without spaces");

/** Why a job failed, as the client sees it. */
export const JobError = z
  .strictObject({ code: ErrorCode, detail: z.string(), retryable: z.boolean() })
  .meta({ id: "JobError" });
export type JobError = z.infer<typeof JobError>;

export const JobCost = z
  .strictObject({
    usd: z.number().min(0),
    stages: z.array(
      z.strictObject({ stage: z.string(), seconds: z.number().min(0), usd: z.number().min(0) }),
    ),
  })
  .meta({ id: "JobCost" });
export type JobCost = z.infer<typeof JobCost>;

/** A job that has not ended so many seconds after it was accepted fails with `deadline_exceeded`; at most a week. */
export const DeadlineS = z
  .number()
  .min(1)
  .max(7 * 24 * 3600);

/** `POST /v1/analyses` with a JSON body. */
export const CreateAnalysis = z
  .strictObject({
    upload_id: UploadId,
    parts: z.array(AnalysisPart).min(1).max(7).optional(),
    /** For the transcript. */
    language: SpokenLanguage.optional(),
    model: TranscriptModel.optional(),
    priority: Priority.default("standard"),
    user_id: UserId.optional(),
    metadata: Metadata.optional(),
    webhook_url: WebhookUrl.optional().meta({
      description:
        "Told once the job has ended, beside the tenant's endpoints; signed with the secret of `POST /v1/webhook-secret/rotate`",
    }),
    webhook_include_result: z.boolean().optional().meta({
      description: "Results up to 256 KiB go with the event to `webhook_url`",
    }),
    deadline_s: DeadlineS.optional().meta({
      description:
        "Seconds from now by which it is to be done, else it fails with `deadline_exceeded`",
    }),
  })
  .meta({ id: "CreateAnalysis" });
export type CreateAnalysis = z.infer<typeof CreateAnalysis>;

/**
 * What a synthesis is to speak, and how. The text itself is content, which no specification holds: it lies in the job's upload,
 * UTF-8, perhaps among others'.
 */
export const SpeechTask = z.strictObject({
  text: z.strictObject({ offset: z.int().min(0), bytes: z.int().min(1) }),
  voice: VoiceName,
  response_format: SpeechFormat,
  speed: speechSpeed,
});
export type SpeechTask = z.infer<typeof SpeechTask>;

/** An accepted job as the ledger hands it to a region: everything a region needs, nothing it must look up. */
export const JobSpec = z
  .strictObject({
    v: z.literal(1),
    id: JobId,
    kind: JobKind,
    tenant_id: TenantId,
    residency: z.enum(["global", "us", "eu", "in"]),
    dispatch: z.int().min(1),
    priority: Priority,
    /** Of an analysis; a synthesis has none. */
    parts: z.array(AnalysisPart),
    /** Of a synthesis. */
    speech: SpeechTask.optional(),
    language: SpokenLanguage.optional(),
    model: TranscriptModel.optional(),
    /** The recording; of a synthesis, what holds its text. */
    upload_id: UploadId,
    /** Of the upload, where it streamed through the edge and nobody else can write it. */
    audio_sha256: Sha256Hex.optional(),
    user_id: UserId.optional(),
    metadata: Metadata.optional(),
    webhook: JobWebhook.optional(),
    /** Which item of which batch it is. */
    batch: z.strictObject({ id: BatchId, item: z.int().min(0) }).optional(),
    /** An item that was wrong to begin with: the region ends its job as failed with this, and runs nothing. */
    fault: z.strictObject({ code: ErrorCode, detail: z.string().max(1000) }).optional(),
    created_at: z.iso.datetime(),
    /** When it may start at the earliest, and must have ended at the latest. */
    not_before: z.iso.datetime().optional(),
    deadline_at: z.iso.datetime().optional(),
    /** What a region needs to know of the tenant. */
    tenant: z
      .strictObject({
        vip: z.boolean().optional(),
        /** Jobs of the tenant that may run at once in a region. */
        max_concurrent: z.int().min(1).optional(),
        /** Of an analysis: its result goes out by webhook alone, and nothing of it or the recording stays. */
        keeps_results: z.literal(false).optional(),
      })
      .optional(),
    request_id: z.string().max(128),
    traceparent: z.string().max(128).optional(),
  })
  .meta({ id: "JobSpec" });
export type JobSpec = z.infer<typeof JobSpec>;

/** Whether nothing of a job's result may stay. Audio that was spoken is asked for afterwards, and goes by the retention of audio. */
export const leavesNoResult = ({ kind, tenant }: Pick<JobSpec, "kind" | "tenant">): boolean =>
  kind === "analysis" && tenant?.keeps_results === false;

/** Order in which a region runs what waits; the highest first. */
export const priorities: readonly Priority[] = Priority.options;

/** Which run made a state, for messages that cross a wall. */
export const RunRef = z.strictObject({ job_id: JobId, tenant_id: TenantId, epoch: Epoch });
export type RunRef = z.infer<typeof RunRef>;
