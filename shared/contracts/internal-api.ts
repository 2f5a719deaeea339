import { z } from "zod";
import { AnalysisResult, ResultSource } from "./analysis-result.ts";
import { MAX_UPLOAD_BYTES } from "./api.ts";
import { CompletionOffer } from "./completion.ts";
import { KeyRecord } from "./api-key.ts";
import { dayRange } from "./day-range.ts";
import { Epoch } from "./epoch.ts";
import { ErrorCode } from "../errors/catalogue.ts";
import { JobId, KeyId, Sha256Hex, TenantId } from "./ids.ts";
import {
  FinalStatus,
  JobCost,
  JobKind,
  JobSpec,
  JobStatus,
  Metadata,
  Priority,
  UserId,
} from "./job.ts";
import { Residency } from "./regions.ts";
import { Scope } from "./api-key.ts";
import { FeatureName } from "./user-history.ts";
import { storableText } from "./storable-text.ts";
import { ChangeTenant, JwtIssuer, Origin } from "./tenant-settings.ts";

/** Signed calls between edge and regions. Every body is JSON; every answer is JSON or a problem. */

/** What the edge knows of an upload that it has just put into a region's bucket: `?stored=` (base64url of JSON) of `POST /internal/jobs`. */
export const StoredUpload = z.strictObject({
  bytes: z.int().min(1).max(MAX_UPLOAD_BYTES),
  /** As the store gave it, quotes and all. */
  etag: z.string().max(200).optional(),
  /** Its content type. */
  type: z.string().max(200).optional(),
});
export type StoredUpload = z.infer<typeof StoredUpload>;

/** `POST region /internal/jobs` (JobSpec) → 202. Idempotent by (job id, dispatch). */
export const SubmitAnswer = z.strictObject({
  job_id: z.string(),
  dispatch: z.int(),
  /** True when this very dispatch was taken before. */
  duplicate: z.boolean(),
  queue_position: z.int().min(0),
  /**
   * How the job ended, where the region knew its result beforehand. The same offer comes by `POST /internal/completions`, in
   * case this answer gets lost.
   */
  completion: CompletionOffer.optional(),
});
export type SubmitAnswer = z.infer<typeof SubmitAnswer>;

/** Jobs that a region is given in one call: half a megabyte of specifications, or fewer. */
export const MAX_BATCH_SUBMIT = 500;
/** `POST region /internal/jobs/batch` → 202 once all of them are on disk. Idempotent by (job id, dispatch). */
export const SubmitBatch = z.strictObject({ jobs: z.array(JobSpec).min(1).max(MAX_BATCH_SUBMIT) });
export const SubmitBatchAnswer = z.strictObject({ taken: z.int() });

/** `GET region /internal/jobs/{id}?tenant_id=` → what the region's Redis knows of a job that is not final. */
export const RegionJobState = z.strictObject({
  status: JobStatus,
  epoch: Epoch,
  started_at: z.iso.datetime().optional(),
  queue_position: z.int().min(0).optional(),
  /** When it will be begun, as far as can be told by what goes before it and by the workers there are. */
  expected_at: z.iso.datetime().optional(),
  progress: z.number().min(0).max(1).optional(),
});
export type RegionJobState = z.infer<typeof RegionJobState>;

/** `POST region /internal/jobs/cancel`: idempotent. A job that is not here, or is another tenant's, is `job_not_found`. */
export const CancelJob = z.strictObject({ job_id: JobId, tenant_id: TenantId });
export const CancelJobAnswer = z.strictObject({
  job_id: z.string(),
  /**
   * `canceled`: it waited, and its end has been offered to the ledger. `canceling`: its worker was told, and its end will be
   * offered. `too_late`: an end was offered before, whichever it was.
   */
  outcome: z.enum(["canceled", "canceling", "too_late"]),
});
export type CancelJobAnswer = z.infer<typeof CancelJobAnswer>;

/**
 * `POST region /internal/jobs/read` → a job that has ended, by the rows of the local replica; null where it has none, or they are
 * another tenant's. For jobs that the ledger no longer describes.
 */
export const ReadJob = z.strictObject({ job_id: JobId, tenant_id: TenantId });
export const FinalJob = z.strictObject({
  kind: JobKind,
  status: FinalStatus,
  residency: Residency,
  region: z.string(),
  priority: Priority,
  epoch: Epoch,
  error_code: ErrorCode.nullable(),
  user_id: z.string().nullable(),
  metadata: Metadata.nullable(),
  result_key: z.string().nullable(),
  /** Of the recording, as a link to it needs it; null where the database has no result, as of bound tenants. */
  audio: CompletionOffer.shape.audio.unwrap().nullable(),
  created_at: z.iso.datetime(),
  started_at: z.iso.datetime(),
  finished_at: z.iso.datetime(),
  cost: JobCost,
});
export type FinalJob = z.infer<typeof FinalJob>;
export const ReadJobAnswer = z.strictObject({ job: FinalJob.nullable() });

/**
 * `POST edge /internal/settled`: jobs whose rows a replica has, so that the ledger need not describe them any longer. Best effort:
 * what is not told stays there for 30 days. Repeating it changes nothing.
 */
export const MAX_SETTLED = 500;
export const SettledJobs = z.strictObject({
  jobs: z
    .array(z.strictObject({ job_id: JobId, tenant_id: TenantId, epoch: Epoch }))
    .min(1)
    .max(MAX_SETTLED),
});
export type SettledJob = z.infer<typeof SettledJobs>["jobs"][number];
export const SettledAnswer = z.strictObject({ reduced: z.int() });

/** `POST region /internal/results/read` → the result of a final run. */
export const ReadResult = z.strictObject({
  job_id: z.string(),
  tenant_id: TenantId,
  result_key: z.string(),
});
export type ReadResult = z.infer<typeof ReadResult>;
export const ReadResultAnswer = z.strictObject({ result: AnalysisResult, from: ResultSource });

/** `POST region /internal/keys/lookup` → the record of a key by its hash, or null. */
export const LookupKey = z.strictObject({ key_hash: Sha256Hex });
export const LookupKeyAnswer = z.strictObject({ key: KeyRecord.nullable() });

/** `POST region /internal/admin/tenants`: create a tenant; repeating it changes nothing. */
export const CreateTenant = z
  .strictObject({
    id: TenantId,
    name: storableText(1, 200),
    residency: Residency.default("global"),
  })
  .meta({ id: "CreateTenant" });
export const Tenant = CreateTenant.extend({ created_at: z.iso.datetime() }).meta({ id: "Tenant" });
export type Tenant = z.infer<typeof Tenant>;

/** `POST region /internal/admin/keys`: store a key's hash. The edge mints the key; no region ever sees it. */
export const StoreKey = z.strictObject({
  key_id: KeyId,
  key_hash: Sha256Hex,
  tenant_id: TenantId,
  name: storableText(0, 200),
  scopes: z.array(Scope).min(1),
  expires_at: z.iso.datetime().nullable(),
});
export type StoreKey = z.infer<typeof StoreKey>;

/** `POST region /internal/admin/keys/revoke` → the hash of the key that was revoked. */
export const RevokeKey = z.strictObject({ key_id: KeyId });
export const RevokeKeyAnswer = z.strictObject({
  key_id: KeyId,
  key_hash: Sha256Hex,
  revoked_at: z.iso.datetime(),
});

/**
 * `POST region /internal/admin/keys/rotate`: another key in place of one, which ends after the overlap; at once when that is 0.
 * Repeating it with the same new key changes nothing.
 */
export const RotateKey = z.strictObject({
  key_id: KeyId,
  new_key_id: KeyId,
  new_key_hash: Sha256Hex,
  overlap_s: z.int().min(0),
});
export const RotateKeyAnswer = z.strictObject({
  tenant_id: TenantId,
  name: z.string(),
  scopes: z.array(Scope),
  /** Of the old key. */
  key_hash: Sha256Hex,
  old_expires_at: z.iso.datetime(),
});

/** `POST region /internal/admin/keys/list` → keys of a tenant, oldest first; never a hash. */
export const ListKeys = z.strictObject({
  tenant_id: TenantId,
  limit: z.int().min(1).max(100),
  cursor: z.string().max(512).optional(),
});
export const KeyList = z
  .strictObject({
    data: z.array(
      z
        .strictObject({
          key_id: KeyId,
          tenant_id: TenantId,
          name: z.string(),
          scopes: z.array(Scope),
          created_at: z.iso.datetime(),
          expires_at: z.iso.datetime().nullable(),
          revoked_at: z.iso.datetime().nullable(),
        })
        .meta({ id: "KeySummary" }),
    ),
    next_cursor: z.string().nullable(),
  })
  .meta({ id: "KeyList" });
export type KeyList = z.infer<typeof KeyList>;

/** `POST region /internal/admin/tenants/read` and `…/change` → TenantSettings (tenant-settings.ts). */
export const ReadTenant = z.strictObject({ id: TenantId });
export const ChangeTenantOrder = ChangeTenant.extend({ id: TenantId });
export type ChangeTenantOrder = z.output<typeof ChangeTenantOrder>;

/** `POST region /internal/issuers/lookup` → who issues such tokens, and for which tenant they speak; or null. */
export const LookupIssuer = z.strictObject({
  issuer: z.string().min(1).max(512),
  audiences: z.array(z.string().max(255)).min(1).max(10),
});
export const IssuerRecord = JwtIssuer.extend({
  tenant_id: TenantId,
  residency: Residency,
  limits: KeyRecord.shape.limits,
  cors_origins: KeyRecord.shape.cors_origins,
  keeps_results: KeyRecord.shape.keeps_results,
});
export type IssuerRecord = z.infer<typeof IssuerRecord>;
export const LookupIssuerAnswer = z.strictObject({ issuer: IssuerRecord.nullable() });

/** `POST region /internal/origins/lookup` → whether any tenant's pages come from there. */
export const LookupOrigin = z.strictObject({ origin: Origin });
export const LookupOriginAnswer = z.strictObject({ known: z.boolean() });

/** `POST region /internal/usage/read` → UsageReport. */
export const ReadUsage = z.strictObject({
  tenant_id: TenantId,
  ...dayRange,
  limit: z.int().min(1).max(100),
  cursor: z.string().max(512).optional(),
});

/** `POST region /internal/users/analyses` → UserHistory. */
export const ReadUserHistory = ReadUsage.extend({
  user_id: UserId,
  features: z.array(FeatureName).max(20),
});

/** `GET region /internal/jobs?tenant_id=&limit=&cursor=` → rows of the local replica, newest first. */
export const JobRow = z.strictObject({
  id: z.string(),
  kind: z.string(),
  status: JobStatus,
  region: z.string(),
  priority: z.string(),
  epoch: Epoch,
  user_id: z.string().nullable(),
  error_code: z.string().nullable(),
  audio_duration_s: z.number().nullable(),
  created_at: z.iso.datetime(),
  started_at: z.iso.datetime().nullable(),
  finished_at: z.iso.datetime().nullable(),
  usd: z.number(),
});
export type JobRow = z.infer<typeof JobRow>;
export const JobRows = z.strictObject({
  data: z.array(JobRow),
  next_cursor: z.string().nullable(),
});
