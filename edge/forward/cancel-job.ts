import { findRegion } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import type { Trace } from "../context.ts";
import type { LedgerClient } from "../ledger/ledger-client.ts";
import type { LedgerJob } from "../ledger/ledger-job.ts";
import type { CallRegion } from "./call-region.ts";
import { cancelInRegion } from "./cancel-in-region.ts";

/** How long a cancel waits for the ledger to hear of the end that it brought about. */
const SETTLE_MS = 1_500;
/** A job may be given to another region while it is being canceled. */
const MOST_ROUNDS = 3;

/**
 * Stops a job, wherever it is. Idempotent. The job as it is then: canceled, or, while its worker has yet to stop, still as it was.
 * @throws ApiError job_not_found | cancel_too_late (it has come to another end) | dependency_unavailable
 */
export type CancelJob = (
  key: { id: string; tenant_id: string },
  trace: Trace,
) => Promise<LedgerJob>;

/**
 * Where the region answers, the end comes from there and through the ledger, as every end does. Where it does not, or does not have
 * the job, the ledger records the cancel as the job's final state, and the region hears of it later.
 */
export function createCancelJob(ledger: LedgerClient, callRegion: CallRegion): CancelJob {
  return async (key, trace) => {
    let job = await ledger.status(key);
    for (let round = 1; ; round++) {
      if (!job) throw new ApiError("job_not_found");
      if (job.offer) return ended(job);
      const asked = job.dispatch;
      const region = findRegion(job.region);
      const outcome = region && (await cancelInRegion(callRegion, region, job, trace));
      const told = outcome?.kind === "done";
      job = told ? await ledger.wait(key, SETTLE_MS) : await ledger.cancel(key);
      const moved = job !== null && job.dispatch !== asked;
      if (job && !job.offer && !(moved && round < MOST_ROUNDS)) return job;
    }
  };
}

function ended(job: LedgerJob): LedgerJob {
  if (job.offer?.status !== "canceled") throw new ApiError("cancel_too_late");
  return job;
}
