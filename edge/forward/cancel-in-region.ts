import { CancelJobAnswer } from "../../shared/contracts/internal-api.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import type { Trace } from "../context.ts";
import type { LedgerJob } from "../ledger/ledger-job.ts";
import type { CallRegion, RegionOutcome } from "./call-region.ts";

/** A region that hangs must not hold up whoever wants to stop a job. */
const CANCEL_TIMEOUT_MS = 3_000;

/** Asks a region to stop a job. Idempotent; refused as `job_not_found` where the region does not have it. */
export function cancelInRegion(
  callRegion: CallRegion,
  region: Region,
  { draft }: LedgerJob,
  trace?: Trace,
): Promise<RegionOutcome<CancelJobAnswer>> {
  return callRegion(region, {
    method: "POST",
    target: "/internal/jobs/cancel",
    body: { job_id: draft.id, tenant_id: draft.tenant_id },
    answer: CancelJobAnswer,
    timeoutMs: CANCEL_TIMEOUT_MS,
    trace,
  });
}
