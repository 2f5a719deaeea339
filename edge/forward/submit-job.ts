import { SubmitAnswer, type StoredUpload } from "../../shared/contracts/internal-api.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import { toBase64Url } from "../../shared/signing/bytes.ts";
import type { Trace } from "../context.ts";
import type { LedgerJob } from "../ledger/ledger-job.ts";
import type { CallRegion, RegionOutcome } from "./call-region.ts";

/** A region that hangs must cost a client less than the 5 s within which another has to answer. */
const SUBMIT_TIMEOUT_MS = 3_000;

/** An upload that the edge has just put into a region's bucket itself. */
export interface StoredHere extends StoredUpload {
  uploadId: string;
  region: Region;
}

/**
 * Hands a reserved job to its region. Idempotent by job and dispatch, so it may be repeated at will. A completion in the answer
 * is one of this very dispatch. `stored`: that region need not ask its bucket for the upload.
 * `mayLeave`: another can have the job when this one is ejected meanwhile.
 */
export async function submitJob(
  callRegion: CallRegion,
  region: Region,
  job: LedgerJob,
  {
    trace,
    stored,
    mayLeave = false,
  }: { trace?: Trace; stored?: StoredHere | undefined; mayLeave?: boolean } = {},
): Promise<RegionOutcome<SubmitAnswer>> {
  // A resumed request has stored its audio anew, and the job that was reserved before has the earlier upload.
  const isStoredThere = stored?.region.id === region.id && stored.uploadId === job.draft.upload_id;
  const outcome = await callRegion(region, {
    method: "POST",
    target: isStoredThere ? targetWith(stored) : "/internal/jobs",
    body: { ...job.draft, dispatch: job.dispatch },
    answer: SubmitAnswer,
    timeoutMs: SUBMIT_TIMEOUT_MS,
    mayLeave,
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

/** In the query, which is signed too: the body is the job and nothing else, and a region of before does not look there. */
function targetWith({ bytes, etag, type }: StoredUpload): string {
  const facts = new TextEncoder().encode(JSON.stringify({ bytes, etag, type }));
  return `/internal/jobs?stored=${toBase64Url(facts)}`;
}
