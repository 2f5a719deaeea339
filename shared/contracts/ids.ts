import { z } from "zod";
import { findRegionByCode, type Region } from "./regions.ts";
import { uuidv7, uuidv7Time } from "./uuidv7.ts";

const UUID7 = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";

/** `job_<region code>_<uuidv7>`: minted by the edge; tells its birth region and time. */
export const JobId = z
  .string()
  .regex(new RegExp(`^job_[a-z]{3}_${UUID7}$`), "is not the id of a job")
  .meta({ id: "JobId", example: "job_use_0199c2a4-77aa-7d31-8c3e-0c7a5a4f1b2d" });
export type JobId = z.infer<typeof JobId>;

/**
 * `upl_<region code>_<uuidv7>`: names the object in that region's bucket. `upm_…` is one of `durability: "multi_region"`: a job of it is
 * accepted only once a second region has it too, which nobody can forget to ask for, since the id says so.
 */
export const UploadId = z
  .string()
  .regex(new RegExp(`^up[lm]_[a-z]{3}_${UUID7}$`), "is not the id of an upload")
  .meta({ id: "UploadId", example: "upl_use_0199c2a4-77aa-7d31-8c3e-0c7a5a4f1b2d" });
export type UploadId = z.infer<typeof UploadId>;

/** `spc_<region code>_<uuidv7>`: one making of speech, minted by the region that makes it; names its rows of usage. */
export const SpeechId = z.string().regex(new RegExp(`^spc_[a-z]{3}_${UUID7}$`));
export type SpeechId = z.infer<typeof SpeechId>;

/** `bat_<region code>_<uuidv7>`: a batch of jobs, minted by the edge; the ids of its jobs and of their text follow from it. */
export const BatchId = z
  .string()
  .regex(new RegExp(`^bat_[a-z]{3}_${UUID7}$`), "is not the id of a batch")
  .meta({ id: "BatchId", example: "bat_use_0199c2a4-77aa-7d31-8c3e-0c7a5a4f1b2d" });
export type BatchId = z.infer<typeof BatchId>;

export const TenantId = z
  .string()
  .regex(
    /^ten_[a-z0-9][a-z0-9_-]{0,47}$/,
    "must be ten_ and up to 48 of a-z, 0-9, _ and -, a letter or digit first",
  )
  .meta({ id: "TenantId" });
export type TenantId = z.infer<typeof TenantId>;

export const KeyId = z
  .string()
  .regex(/^key_[a-z0-9][a-z0-9_-]{0,47}$/, "is not the id of a key")
  .meta({ id: "KeyId" });
export type KeyId = z.infer<typeof KeyId>;

export const Sha256Hex = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 hex digits, in lower case");

/** Source of ids; `now` in Unix milliseconds. */
export interface IdSource {
  now(): number;
  randomBytes(length: number): Uint8Array;
}

export const systemIdSource: IdSource = {
  now: () => Date.now(),
  randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
};

export function mintJobId(region: Region, source: IdSource = systemIdSource): JobId {
  return `job_${region.code}_${uuidv7(source.now(), source.randomBytes(10))}`;
}

export function mintUploadId(region: Region, source: IdSource = systemIdSource): UploadId {
  return `upl_${region.code}_${uuidv7(source.now(), source.randomBytes(10))}`;
}

export function mintMultiRegionUploadId(
  region: Region,
  source: IdSource = systemIdSource,
): UploadId {
  return `upm_${region.code}_${uuidv7(source.now(), source.randomBytes(10))}`;
}

/** Whether an upload is to lie in two regions before a job of it is accepted. */
export const isMultiRegion = (uploadId: UploadId): boolean => uploadId.startsWith("upm_");

export function mintSpeechId(region: Region, source: IdSource = systemIdSource): SpeechId {
  return `spc_${region.code}_${uuidv7(source.now(), source.randomBytes(10))}`;
}

export function mintBatchId(region: Region, source: IdSource = systemIdSource): BatchId {
  return `bat_${region.code}_${uuidv7(source.now(), source.randomBytes(10))}`;
}

/**
 * Id of the n-th job of a batch (n below 65,536): the batch's own, with n as its last 16 bits. A request that is resumed thus
 * makes the same jobs again, and 10,000 ids need not be kept for it.
 */
export const batchJobId = (batchId: BatchId, n: number): JobId =>
  `job${batchId.slice(3, -4)}${n.toString(16).padStart(4, "0")}`;

/** The upload that holds what the jobs of a batch, or one job without a recording, are to work on. */
export const textUploadId = (id: string): UploadId => `upl${id.slice(3)}`;

/** Birth region and creation time (Unix ms) of a job, upload, speech or batch id; undefined when it is not one of ours. */
export function readId(id: string): { region: Region; createdAtMs: number } | undefined {
  const match = /^(?:job|up[lm]|spc|bat)_([a-z]{3})_(.{36})$/.exec(id);
  const region = match ? findRegionByCode(match[1]!) : undefined;
  if (!match || !region) return undefined;
  return { region, createdAtMs: uuidv7Time(match[2]!) };
}
