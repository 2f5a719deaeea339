import { SubmitAnswer } from "../../shared/contracts/internal-api.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import type { Trace } from "../context.ts";
import type { LedgerJob } from "../ledger/ledger-job.ts";
import type { CallRegion, RegionOutcome } from "./call-region.ts";

/** A region that hangs must cost a client less than the 5 s within which another has to answer. */
const SUBMIT_TIMEOUT_MS = 3_000;

/**
 * Hands a reserved job to its region. Idempotent by job and dispatch, so it may be repeated at will. A completion in the answer
 * is one of this very dispatch.
 */
export async function submitJob(
  callRegion: CallRegion,
  region: Region,
  job: LedgerJob,
  trace?: Trace,
): Promise<RegionOutcome<SubmitAnswer>> {
  const outcome = await callRegion(region, {
    method: "POST",
    target: "/internal/jobs",
    body: { ...job.draft, dispatch: job.dispatch },
    answer: SubmitAnswer,
    timeoutMs: SUBMIT_TIMEOUT_MS,
    trace,
  });
  if (outcome.kind !== "done" || outcome.value.completion === undefined) return outcome;
  const { completion, ...taken } = outcome.value;
  const { id, tenant_id } = job.draft;
  // A region may end what it was given, and nothing else.
  const own =
    completion.job_id === id &&
    completion.tenant_id === tenant_id &&
    completion.region === region.id &&
    completion.epoch.dispatch === job.dispatch;
  return own ? outcome : { kind: "done", value: taken };
}
