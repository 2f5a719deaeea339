import { readId } from "../contracts/ids.ts";

/** How many ledger shards one tenant has in one birth region. Changing it strands open jobs: raise it only with a migration. */
export const LEDGER_BUCKETS = 8;

/** 32-bit FNV-1a of ASCII text. */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash ^= text.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  return hash >>> 0;
}

/** Name of the ledger shard that owns a job: tenant, birth region, bucket of the id. Undefined for a foreign id. */
export function ledgerShardName(tenantId: string, jobId: string): string | undefined {
  const birth = readId(jobId);
  if (!birth) return undefined;
  return `${tenantId}/${birth.region.id}/${fnv1a(jobId) % LEDGER_BUCKETS}`;
}
