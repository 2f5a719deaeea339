import { env } from "cloudflare:workers";
import type { JobDraft } from "../../../edge/ledger/ledger-job.ts";
import type { Ledger } from "../../../edge/ledger/ledger.ts";
import type { CompletionOffer } from "../../../shared/contracts/completion.ts";
import { mintJobId, mintUploadId } from "../../../shared/contracts/ids.ts";
import { findRegion } from "../../../shared/contracts/regions.ts";
import { ledgerShardName } from "../../../shared/policies/ledger-shard.ts";

export function draftOf(tenantId: string, regionId = "us-east"): JobDraft {
  const region = findRegion(regionId)!;
  return {
    v: 1,
    id: mintJobId(region),
    kind: "analysis",
    tenant_id: tenantId,
    residency: "global",
    priority: "standard",
    parts: ["voice_activity"],
    upload_id: mintUploadId(region),
    created_at: new Date().toISOString(),
    request_id: "req_test",
  };
}

export function offerOf(
  job: { id: string; tenant_id: string },
  epoch: { dispatch: number; attempt: number },
  more: Partial<CompletionOffer> = {},
): CompletionOffer {
  return {
    job_id: job.id,
    tenant_id: job.tenant_id,
    region: "us-east",
    epoch,
    status: "succeeded",
    started_at: new Date().toISOString(),
    finished_at: new Date().toISOString(),
    cost: { usd: 0, stages: [] },
    ...more,
  };
}

/** The ledger shard that owns a job. */
export function shardOf(job: { id: string; tenant_id: string }): DurableObjectStub<Ledger> {
  const namespace = (env as unknown as { LEDGER: DurableObjectNamespace<Ledger> }).LEDGER;
  return namespace.get(namespace.idFromName(ledgerShardName(job.tenant_id, job.id)!));
}

/** A short recording as a result describes it. */
export const audioFacts = {
  sha256: "0123456789abcdef".repeat(4),
  bytes: 10,
  duration_s: 1,
  sample_rate_hz: 16_000,
  channels: 1,
  codec: "pcm_s16le",
  container: "wav",
  level: {
    rms_dbfs: -20,
    peak_dbfs: -3,
    silent: false,
    clipping: { clipped_samples: 0, clipped_ratio: 0, longest_run: 0 },
  },
};
