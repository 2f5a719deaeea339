import { SubmitAnswer } from "../../shared/contracts/internal-api.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import type { Trace } from "../context.ts";
import type { LedgerJob } from "../ledger/ledger-job.ts";
import type { CallRegion, RegionOutcome } from "./call-region.ts";

/** A region that hangs must cost a client less than the 5 s within which another has to answer. */
const SUBMIT_TIMEOUT_MS = 3_000;

/** Hands a reserved job to its region. Idempotent by job and dispatch, so it may be repeated at will. */
export function submitJob(
  callRegion: CallRegion,
  region: Region,
  job: LedgerJob,
  trace?: Trace,
): Promise<RegionOutcome<SubmitAnswer>> {
  return callRegion(region, {
    method: "POST",
    target: "/internal/jobs",
    body: { ...job.draft, dispatch: job.dispatch },
    answer: SubmitAnswer,
    timeoutMs: SUBMIT_TIMEOUT_MS,
    trace,
  });
}
