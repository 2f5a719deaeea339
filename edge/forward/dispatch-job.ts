import type { Region } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import type { Trace } from "../context.ts";
import type { LedgerClient } from "../ledger/ledger-client.ts";
import type { JobDraft, LedgerJob } from "../ledger/ledger-job.ts";
import type { Metrics } from "../ops/metrics.ts";
import type { CallRegion, RegionFailure } from "./call-region.ts";
import { mayLieElsewhere } from "./may-lie-elsewhere.ts";
import type { RetryBudget } from "./retry-budget.ts";
import { submitJob, type StoredHere } from "./submit-job.ts";

export interface Dispatched {
  job: LedgerJob;
  queuePosition?: number;
}

export type DispatchJob = (
  draft: JobDraft,
  candidates: readonly Region[],
  trace: Trace,
  input?: {
    /** Brings to a region what the job needs there, before the job; a region where that fails is passed over. */
    bring?: (region: Region) => Promise<unknown>;
    /** What this very request has put into the bucket of one. */
    stored?: StoredHere | undefined;
  },
) => Promise<Dispatched>;

/**
 * Reserves a job, hands it to the first candidate that takes it, and marks it accepted.
 *
 * Only the last dispatch matters: a new one revokes the one before, so whatever an earlier region may
 * have taken can no longer end the job. If the last is clearly not taken, the reservation is removed;
 * if that is unclear, it stays, and the ledger's alarm submits it again until it is resolved.
 *
 * @throws ApiError the region's refusal | system_busy | region_unavailable (nothing was accepted) |
 *   dependency_unavailable (the job may yet be taken)
 */
export function createDispatchJob(
  ledger: LedgerClient,
  callRegion: CallRegion,
  retries: RetryBudget,
  metrics?: Pick<Metrics, "count">,
): DispatchJob {
  return async (draft, candidates, trace, { bring, stored } = {}) => {
    let job: LedgerJob | null = await ledger.reserve(draft, candidates[0]!.id);
    const key = job.draft;
    // A resumed request goes on where the first one stopped: same region, same dispatch.
    const assigned = job.region;
    const order = candidates.toSorted(
      (a, b) => Number(b.id === assigned) - Number(a.id === assigned),
    );
    let last: RegionFailure | undefined;
    retries.began();

    for (const region of order) {
      if (last && !retries.takes("job")) break;
      if (last || region.id !== job.region) {
        metrics?.count("antiphon_edge_redispatches_total", { from: job.region });
        job = await ledger.newDispatch(key, region.id);
      }
      if (!job) throw new ApiError("region_unavailable");
      if (job.state !== "reserved") return { job };
      const missing = await bring?.(region).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (missing !== undefined) {
        const error = new ApiError("region_unavailable", undefined, { cause: missing });
        last = { kind: "unavailable", error };
        continue;
      }
      const mayLeave = region !== order.at(-1);
      const outcome = await submitJob(callRegion, region, job, { trace, stored, mayLeave });
      if (outcome.kind === "done") {
        const accepted = await ledger.accept(key, job.dispatch, outcome.value.completion);
        if (!accepted || accepted.dispatch !== job.dispatch) {
          throw new ApiError("dependency_unavailable", "The job was reassigned meanwhile.");
        }
        return { job: accepted, queuePosition: outcome.value.queue_position };
      }
      if (outcome.kind === "refused" && !mayLieElsewhere(outcome.error, draft, region)) {
        await ledger.refuse(key, job.dispatch);
        throw outcome.error;
      }
      last = outcome;
    }

    if (last?.kind === "unclear") {
      throw new ApiError(
        "dependency_unavailable",
        `It is not clear whether the job was taken; see job ${key.id}, or repeat the request with its Idempotency-Key.`,
        { cause: last.error },
      );
    }
    if (job && !(await ledger.refuse(key, job.dispatch))) {
      // The region had taken it after all: only its answer was lost.
      const taken = await ledger.status(key);
      if (taken && taken.state !== "reserved") return { job: taken };
    }
    if (last?.error.status === 429 || last?.error.code === "voice_not_installed") throw last.error;
    throw new ApiError("region_unavailable", undefined, { cause: last?.error });
  };
}
