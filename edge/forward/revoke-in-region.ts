import { SubmitAnswer } from "../../shared/contracts/internal-api.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import type { LedgerJob } from "../ledger/ledger-job.ts";
import type { CallRegion, RegionOutcome } from "./call-region.ts";

const REVOKE_TIMEOUT_MS = 3_000;

/**
 * Tells a region that a job is another's now. It is given the current dispatch as one that fails at once, by which its queue drops whatever
 * waits or runs under an older one, and refuses nothing newer; the end that it then offers is superseded, since the dispatch is not its
 * own. Idempotent. Refused where the region has a newer dispatch.
 */
export function revokeInRegion(
  callRegion: CallRegion,
  region: Region,
  { draft, dispatch }: LedgerJob,
): Promise<RegionOutcome<SubmitAnswer>> {
  const { webhook: _, ...spec } = draft;
  const fault = { code: "region_unavailable", detail: "The job was given to another region." };
  return callRegion(region, {
    method: "POST",
    target: "/internal/jobs",
    body: { ...spec, dispatch, fault },
    answer: SubmitAnswer,
    timeoutMs: REVOKE_TIMEOUT_MS,
  });
}
