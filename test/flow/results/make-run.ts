import type { OutboxEnvelope } from "../../../shared/contracts/completion.ts";
import { mintJobId } from "../../../shared/contracts/ids.ts";
import { findRegion, type Residency } from "../../../shared/contracts/regions.ts";
import type { OfferEntry } from "../../../regions/results/offers.ts";

export interface RunOptions {
  jobId?: string;
  tenantId?: string;
  residency?: Residency;
  dispatch?: number;
  attempt?: number;
  /** Stands in everything that counts as content. */
  marker?: string;
  userId?: string | null;
}

export const newJobId = (atMs = Date.now()) =>
  mintJobId(findRegion("us-east")!, {
    now: () => atMs,
    randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  });

/** A run that succeeded, as a worker leaves it. */
export function makeRun(options: RunOptions = {}): OfferEntry {
  const {
    jobId = newJobId(),
    tenantId = "ten_demo",
    residency = "global",
    dispatch = 1,
    attempt = 1,
  } = options;
  const { marker = "content", userId = "user-1" } = options;
  const epoch = { dispatch, attempt };
  const result_key = `results/${residency}/${tenantId}/${jobId}/${dispatch}-${attempt}.json`;
  const [started_at, finished_at] = ["2026-01-02T03:04:05.000Z", "2026-01-02T03:04:06.000Z"];
  const cost = { usd: 0.5, stages: [{ stage: "decode", seconds: 1, usd: 0.5 }] };
  const envelope: OutboxEnvelope = {
    v: 1,
    type: "job.final",
    job: {
      id: jobId,
      tenant_id: tenantId,
      kind: "analysis",
      residency,
      region: "us-east",
      priority: "standard",
      epoch,
      status: "succeeded",
      error_code: null,
      user_id: userId,
      metadata: { note: marker },
      audio_sha256: "a".repeat(64),
      audio_duration_s: 1.5,
      result_key,
      created_at: started_at,
      started_at,
      finished_at,
      usd: 0.5,
    },
    result: { note: marker, epoch },
    usage: [
      {
        job_id: jobId,
        tenant_id: tenantId,
        stage: "decode",
        quantity: 1,
        unit: "compute_second",
        usd: 0.5,
      },
      {
        job_id: jobId,
        tenant_id: tenantId,
        stage: "audio",
        quantity: 1.5,
        unit: "audio_second",
        usd: 0,
      },
    ],
  };
  return {
    offer: {
      job_id: jobId,
      tenant_id: tenantId,
      region: "us-east",
      epoch,
      status: "succeeded",
      result_key,
      started_at,
      finished_at,
      cost,
    },
    envelope,
  };
}
