import type { FinalStatus, JobSpec } from "../../shared/contracts/job.ts";
import type { ErrorCode } from "../../shared/errors/catalogue.ts";
import { mintJobId, mintUploadId } from "../../shared/contracts/ids.ts";
import { findRegion } from "../../shared/contracts/regions.ts";

export const REGION = "us-east";

/** What the stand-in body of a job does; its name travels in the job's metadata. */
export type Behaviour =
  /** Takes its time and succeeds. */
  | "work"
  /** Fails once in a way that may pass, then succeeds. */
  | "stumble"
  /** Fails in each attempt in a way that may pass. */
  | "poison"
  /** Fails in a way that does not pass. */
  | "hopeless"
  /** Kills its worker in each attempt. */
  | "killer";

/** An end that a job may come to. */
export type End = Exclude<FinalStatus, "failed"> | ErrorCode;

/** A job and what a client does with it and expects of it. */
export interface PlannedJob {
  spec: JobSpec;
  ends: readonly End[];
  /** The client calls it off so long after it was accepted. */
  cancelAfterMs?: number;
  /** The client submits it so many times more, at once. */
  duplicates: number;
  /** The ledger gives it out again under a further dispatch, so long after it was accepted. */
  redispatchAfterMs?: number;
}

/** Tenants by the share of jobs that they bring; the last one may run three at once, the first is VIP. */
const tenants = [
  { id: "ten_vip", share: 0.04, tenant: { vip: true } },
  { id: "ten_small", share: 0.01 },
  { id: "ten_middle", share: 0.15 },
  { id: "ten_large", share: 0.7 },
  { id: "ten_bound", share: 0.1, tenant: { max_concurrent: 3 } },
];

/** Draws a job of the mixed load. `random` gives numbers from 0 to 1. `mayKill`: whether this one may be a killer. */
export function planJob(random: () => number, now: number, mayKill: boolean): PlannedJob {
  const region = findRegion(REGION)!;
  const from = pick(random, tenants);
  const roll = random();
  // Log-normal, so that a few are far longer than most.
  const ms = Math.min(3000, Math.round(60 * Math.exp(gauss(random))));
  const base = {
    v: 1 as const,
    id: mintJobId(region),
    kind: "analysis" as const,
    tenant_id: from.id,
    residency: "global" as const,
    dispatch: 1,
    priority: pick(random, [
      { share: 0.3, name: "interactive" as const },
      { share: 0.4, name: "standard" as const },
      { share: 0.3, name: "batch" as const },
    ]).name,
    parts: ["features" as const],
    upload_id: mintUploadId(region),
    created_at: new Date(now).toISOString(),
    request_id: "req_soak",
    ...(from.tenant ? { tenant: from.tenant } : {}),
  };
  const job = (behaviour: Behaviour, more: Partial<JobSpec> = {}, length = ms): JobSpec => ({
    ...base,
    metadata: { soak: behaviour, ms: String(length) },
    ...more,
  });
  const at = (ms: number) => new Date(now + ms).toISOString();
  // A worker that dies three times in a row under an innocent job ends it too; that is in the contract.
  const innocent: End[] = ["succeeded", "job_attempts_exhausted"];

  if (mayKill) return { spec: job("killer"), ends: ["job_attempts_exhausted"], duplicates: 0 };
  if (roll < 0.06) return { spec: job("stumble"), ends: innocent, duplicates: 0 };
  if (roll < 0.07) {
    return { spec: job("poison"), ends: ["job_attempts_exhausted"], duplicates: 0 };
  }
  if (roll < 0.08) {
    return {
      spec: job("hopeless"),
      ends: ["audio_corrupt", "job_attempts_exhausted"],
      duplicates: 0,
    };
  }
  if (roll < 0.13) {
    const spec = job("work", {}, 10 * ms);
    return { spec, ends: ["canceled", ...innocent], duplicates: 0, cancelAfterMs: random() * 500 };
  }
  if (roll < 0.18) {
    const spec = job("work", { not_before: at(500 + 2500 * random()) });
    return { spec, ends: innocent, duplicates: 0 };
  }
  if (roll < 0.21) {
    const spec = job("work", { deadline_at: at(1000 * random()) });
    return { spec, ends: ["deadline_exceeded", ...innocent], duplicates: 0 };
  }
  if (roll < 0.26) {
    return { spec: job("work"), ends: innocent, duplicates: 1 + Math.floor(3 * random()) };
  }
  if (roll < 0.29) {
    const spec = job("work");
    return { spec, ends: innocent, duplicates: 0, redispatchAfterMs: random() * 300 };
  }
  return { spec: job("work"), ends: innocent, duplicates: 0 };
}

function pick<T extends { share: number }>(random: () => number, from: readonly T[]): T {
  let left = random() * from.reduce((sum, { share }) => sum + share, 0);
  return from.find(({ share }) => (left -= share) < 0) ?? from[0]!;
}

/** A number from the standard normal distribution (Box and Muller, 1958). */
function gauss(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
