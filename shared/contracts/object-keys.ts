import type { Epoch } from "./epoch.ts";
import type { Residency } from "./regions.ts";

/**
 * Where objects lie in a region's bucket. The residency is the first folder below the kind, so that
 * replication and lifecycle rules are by prefix and never have to look a tenant up.
 */
export interface Owner {
  residency: Residency;
  tenantId: string;
}

export const uploadKey = (owner: Owner, uploadId: string): string =>
  `uploads/${owner.residency}/${owner.tenantId}/${uploadId}`;

/** Content-addressed and immutable; `extension` without the dot. */
export const audioKey = (owner: Owner, sha256: string, extension: string): string =>
  `audio/${owner.residency}/${owner.tenantId}/${sha256}.${extension}`;

/** Speech by what it follows from (see the synthesizer's content key): the same order finds it again. */
export const speechKey = (owner: Owner, contentKey: string, extension: string): string =>
  `speech/${owner.residency}/${owner.tenantId}/${contentKey}.${extension}`;

/**
 * What stages gave that is too large for Redis, by how many days it is kept. Never replicated: another region makes its own.
 * `entry` names the stage and all that decides what it gives.
 */
export const stageKey = (days: number, owner: Owner, sha256: string, entry: string): string =>
  `stages/${days}d/${owner.residency}/${owner.tenantId}/${sha256}/${entry}.json`;

/** One object per run, so a stale run can never overwrite the result of the one that won. */
export const resultKey = (owner: Owner, jobId: string, epoch: Epoch): string =>
  `results/${owner.residency}/${owner.tenantId}/${jobId}/${epoch.dispatch}-${epoch.attempt}.json`;
