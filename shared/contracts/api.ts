import { z } from "zod";
import { AnalysisResult, ResultSource } from "./analysis-result.ts";
import { Scope } from "./api-key.ts";
import { JobId, KeyId, Sha256Hex, TenantId, UploadId } from "./ids.ts";
import { JobCost, JobError, JobKind, JobStatus, Metadata, Priority, UserId } from "./job.ts";
import { RegionLoad } from "./load-report.ts";
import { Jurisdiction } from "./regions.ts";
import { storableText } from "./storable-text.ts";

/** Largest upload: 2 GiB. */
export const MAX_UPLOAD_BYTES = 2 * 1024 ** 3;
/** What is larger than 100 MiB comes in parts of this size, the last one being what is left. */
export const MAX_SINGLE_PUT_BYTES = 100 * 1024 ** 2;
export const UPLOAD_PART_BYTES = 64 * 1024 ** 2;

/** Audio types an upload may declare. */
export const audioContentType = z
  .string()
  .max(128)
  .regex(
    /^(audio\/[a-z0-9.+-]+|video\/(webm|mp4)|application\/(ogg|octet-stream))(;\s*codecs="?[\w.,-]+"?)?$/i,
    "must be an audio type, such as audio/wav",
  );

/** Where a recording has to lie before a job of it is accepted: in one region's bucket, or in those of two. */
export const Durability = z.enum(["region", "multi_region"]).default("region").meta({
  description:
    "`multi_region`: an analysis of it is accepted only once a second region that residency permits has a copy, so that it survives the loss of a whole region",
});
export type Durability = z.infer<typeof Durability>;

/** `POST /v1/uploads` */
export const CreateUpload = z
  .strictObject({
    content_type: audioContentType,
    bytes: z.int().min(1),
    sha256: Sha256Hex.optional(),
    durability: Durability,
  })
  .meta({ id: "CreateUpload" });

export const Upload = z
  .strictObject({
    upload_id: UploadId,
    url: z.url(),
    method: z.literal("PUT"),
    headers: z.record(z.string(), z.string()),
    expires_at: z.iso.datetime(),
    region: z.string(),
  })
  .meta({ id: "Upload" });
export type Upload = z.infer<typeof Upload>;

/** An upload of more than 100 MiB: each part is PUT to a URL of its own, and then all are put together by a call. */
export const UploadInParts = z
  .strictObject({
    upload_id: UploadId,
    multipart_id: z.string().meta({ description: "For the call that completes it" }),
    parts: z.array(
      z
        .strictObject({
          part_number: z.int(),
          url: z.url(),
          method: z.literal("PUT"),
          bytes: z.int().meta({ description: "Exactly so many, in the order of the file" }),
        })
        .meta({ id: "UploadPart" }),
    ),
    complete_url: z.url(),
    expires_at: z.iso.datetime(),
    region: z.string(),
  })
  .meta({ id: "UploadInParts" });
export type UploadInParts = z.infer<typeof UploadInParts>;

/** `POST /v1/uploads/{id}/complete` */
export const CompleteUpload = z
  .strictObject({
    multipart_id: z.string().regex(/^[\w.~=+/-]{1,1024}$/),
    parts: z
      .array(
        z.strictObject({
          part_number: z.int().min(1).max(10_000),
          etag: z
            .string()
            .regex(/^"?[\w-]{1,128}"?$/)
            .meta({ description: "`ETag` of the answer to the part's PUT" }),
        }),
      )
      .min(1)
      .max(100),
  })
  .meta({ id: "CompleteUpload" });
export type CompleteUpload = z.infer<typeof CompleteUpload>;

export const CompletedUpload = z
  .strictObject({ upload_id: UploadId, region: z.string() })
  .meta({ id: "CompletedUpload" });

/** A job as clients see it. */
export const Job = z
  .strictObject({
    id: JobId,
    kind: JobKind,
    status: JobStatus,
    waiting_for: z.enum(["region", "audio"]).optional(),
    priority: Priority,
    region: z.string(),
    dispatch: z.int(),
    attempt: z.int(),
    user_id: UserId.optional(),
    metadata: Metadata.optional(),
    created_at: z.iso.datetime(),
    started_at: z.iso.datetime().optional(),
    finished_at: z.iso.datetime().optional(),
    queue_position: z.int().optional().meta({ description: "About how many jobs go first" }),
    expected_at: z.iso.datetime().optional().meta({
      description: "Of a queued job: when it will be begun, by an estimate that changes",
    }),
    progress: z.number().min(0).max(1).optional(),
    result: AnalysisResult.optional(),
    /** It had a result, which was removed at the end of its retention. */
    result_removed: z.literal(true).optional(),
    /** Where the result was read just now. */
    result_source: z.strictObject({ region: z.string(), store: ResultSource }).optional(),
    error: JobError.optional(),
    cost: JobCost.optional(),
    audio_url: z.url().optional(),
  })
  .meta({ id: "Job" });
export type Job = z.infer<typeof Job>;

/** A job as lists show it: what the database keeps, without result and content. */
export const JobSummary = z
  .strictObject({
    id: JobId,
    kind: JobKind,
    status: JobStatus,
    priority: Priority,
    region: z.string(),
    dispatch: z.int(),
    attempt: z.int(),
    user_id: UserId.optional(),
    error_code: z.string().optional(),
    audio_duration_s: z.number().optional(),
    created_at: z.iso.datetime(),
    started_at: z.iso.datetime().optional(),
    finished_at: z.iso.datetime().optional(),
    cost_usd: z.number(),
  })
  .meta({ id: "JobSummary" });
export type JobSummary = z.infer<typeof JobSummary>;

export const JobList = z
  .strictObject({ data: z.array(JobSummary), next_cursor: z.string().nullable() })
  .meta({ id: "JobList" });
export type JobList = z.infer<typeof JobList>;

export const RegionStatus = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    jurisdiction: Jurisdiction,
    healthy: z.boolean(),
    latency_ms: z.number().nullable(),
    waiting_jobs: z.int().nullable(),
    running_jobs: z.int().nullable(),
    /** Null where the region does not tell. */
    load: RegionLoad.pick({
      workers: true,
      capacity: true,
      active_jobs: true,
      queued_jobs: true,
      queued_compute_s: true,
      expected_wait_s: true,
    }).nullable(),
  })
  .meta({ id: "RegionStatus" });
export type RegionStatus = z.infer<typeof RegionStatus>;
export const RegionList = z
  .strictObject({ data: z.array(RegionStatus) })
  .meta({ id: "RegionList" });

/** `GET region /readyz`, also what the edge reads a region's load from. */
export const Readiness = z.strictObject({
  status: z.enum(["ready", "not_ready"]),
  region: z.string(),
  checks: z.record(z.string(), z.enum(["ok", "failed"])),
  waiting_jobs: z.int(),
  running_jobs: z.int(),
});
export type Readiness = z.infer<typeof Readiness>;

/** `POST /v1/admin/keys`; the key itself is in the answer once and never again. */
export const CreateKey = z
  .strictObject({
    tenant_id: TenantId,
    name: storableText(1, 200),
    scopes: z.array(Scope).min(1).default(["analyze"]),
    expires_at: z.iso.datetime().nullable().default(null),
  })
  .meta({ id: "CreateKey" });

export const CreatedKey = z
  .strictObject({
    key_id: KeyId,
    key: z.string(),
    tenant_id: TenantId,
    name: z.string(),
    scopes: z.array(Scope),
    expires_at: z.iso.datetime().nullable(),
  })
  .meta({ id: "CreatedKey" });

/** `POST /v1/admin/keys/{id}/rotate` */
export const RotateKeyRequest = z
  .strictObject({
    overlap_s: z
      .int()
      .min(0)
      .max(30 * 24 * 3600)
      .default(24 * 3600)
      .meta({
        description: "How long the old key still holds; 0: it is revoked at once",
      }),
  })
  .meta({ id: "RotateKey" });

export const RotatedKey = z
  .strictObject({
    key_id: KeyId,
    key: z.string(),
    tenant_id: TenantId,
    name: z.string(),
    scopes: z.array(Scope),
    replaces: KeyId,
    old_expires_at: z.iso.datetime(),
  })
  .meta({ id: "RotatedKey" });
export type RotatedKey = z.infer<typeof RotatedKey>;

export const RevokedKey = z
  .strictObject({ key_id: KeyId, revoked_at: z.iso.datetime() })
  .meta({ id: "RevokedKey" });
