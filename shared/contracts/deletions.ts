import { z } from "zod";
import { JobId, Sha256Hex, TenantId, UploadId } from "./ids.ts";
import { SpeechTask, UserId, type JobSpec } from "./job.ts";
import { Residency } from "./regions.ts";
import { uuidv7 } from "./uuidv7.ts";

/** `del_<uuidv7>` */
export const DeletionId = z
  .string()
  .regex(/^del_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  .meta({ id: "DeletionId" });

export const mintDeletionId = (nowMs = Date.now()): string =>
  `del_${uuidv7(nowMs, crypto.getRandomValues(new Uint8Array(10)))}`;

/** `POST /v1/deletions`: one job, all jobs of one end user, or everything of the tenant, as of now. */
export const CreateDeletion = z
  .union(
    [
      z.strictObject({ job_id: JobId }),
      z.strictObject({ user_id: UserId }),
      z.strictObject({ all: z.literal(true) }),
    ],
    { error: "must be one of job_id, user_id and all: true, alone" },
  )
  .meta({ id: "CreateDeletion" });
export type DeletionScope = z.infer<typeof CreateDeletion>;

/** What is known of a job that goes: where its recording lies. */
export const DeletedJob = z.strictObject({
  id: JobId,
  upload_id: UploadId.optional(),
  /** Its own part of an upload that holds other jobs' texts too: only that goes. */
  text: SpeechTask.shape.text.optional(),
  sha256: Sha256Hex.optional(),
});
export type DeletedJob = z.infer<typeof DeletedJob>;

/** Where what a job was given lies, as far as it is known. */
export const inputOf = ({
  upload_id,
  batch,
  speech,
}: Partial<Pick<JobSpec, "upload_id" | "batch" | "speech">>): Pick<
  DeletedJob,
  "upload_id" | "text"
> => ({
  ...(upload_id === undefined ? {} : { upload_id }),
  ...(batch && speech ? { text: speech.text } : {}),
});

/** Jobs that one order names, at most: what a signed request has room for. */
export const MAX_NAMED_JOBS = 3_500;
/** Of one tenant at once: each is asked about again and again until every region has done its part. */
export const MAX_OPEN_DELETIONS = 100;

/**
 * `POST region /internal/deletions` → DeletionState. Idempotent by id: the first makes the region remember the tombstone and its
 * order, later ones tell how far it is. `jobs`: what the ledger knows; a region finds further ones in its own stores.
 */
export const DeletionOrder = z.strictObject({
  v: z.literal(1),
  id: DeletionId,
  tenant_id: TenantId,
  residency: Residency,
  scope: CreateDeletion,
  /** Of the scopes `user_id` and `all`, jobs that were created later are none of this order's. */
  requested_at: z.iso.datetime(),
  jobs: z.array(DeletedJob).max(MAX_NAMED_JOBS),
  /** For the audit log; absent of an order that goes on with another's jobs. */
  asked_by: z
    .strictObject({ actor: z.string().max(128), request_id: z.string().max(128) })
    .optional(),
});
export type DeletionOrder = z.infer<typeof DeletionOrder>;

/** What was removed from one store, by kind; what was found there, no more. */
export const StoreReport = z
  .strictObject({
    store: z.enum(["redis", "postgres", "objects"]),
    removed: z.record(z.string(), z.int().min(0)),
    done_at: z.iso.datetime(),
  })
  .meta({ id: "StoreReport" });
export type StoreReport = z.infer<typeof StoreReport>;

export const DeletionState = z.strictObject({
  done_at: z.iso.datetime().nullable(),
  stores: z.array(StoreReport),
});
export type DeletionState = z.infer<typeof DeletionState>;

/** What a receipt says; `jws` in the receipt itself is the same, signed. */
export const DeletionFacts = z.strictObject({
  id: DeletionId,
  tenant_id: TenantId,
  scope: CreateDeletion,
  requested_at: z.iso.datetime(),
  /** `partial` until every region has done its part. */
  status: z.enum(["partial", "completed"]),
  completed_at: z.iso.datetime().nullable(),
  /** The ledger and stored answers; null until that is done. */
  edge: z
    .strictObject({ removed: z.record(z.string(), z.int().min(0)), done_at: z.iso.datetime() })
    .nullable(),
  regions: z.array(DeletionState.extend({ region: z.string() })),
  /** What stays, by its nature without content. */
  kept: z.array(z.string()),
  issued_at: z.iso.datetime(),
});
export type DeletionFacts = z.infer<typeof DeletionFacts>;

/** `GET /v1/deletions/{id}`. `jws`: the facts as a compact JWS (EdDSA); its key is one of `/.well-known/jwks.json`. */
export const DeletionReceipt = DeletionFacts.extend({ jws: z.string() }).meta({
  id: "DeletionReceipt",
});
export type DeletionReceipt = z.infer<typeof DeletionReceipt>;

/** A job of a tenant, as a tombstone asks for it. */
export interface JobIdentity {
  id: string;
  createdAtMs: number;
  userId?: string | null | undefined;
}

/** Whether an order is about a job. */
export function coversJob(
  order: Pick<DeletionOrder, "scope" | "requested_at">,
  job: JobIdentity,
): boolean {
  const { scope } = order;
  if ("job_id" in scope) return scope.job_id === job.id;
  if (job.createdAtMs > Date.parse(order.requested_at)) return false;
  return "all" in scope || scope.user_id === job.userId;
}
