import { readId, textUploadId } from "../../shared/contracts/ids.ts";
import type { JobSpec } from "../../shared/contracts/job.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import type { JobDraft } from "../ledger/ledger-job.ts";

/** What a client wants of a synthesis, besides who it is and when. */
type Wanted = Pick<
  JobSpec,
  "priority" | "speech" | "user_id" | "metadata" | "batch" | "fault" | "webhook"
> & { deadline_s?: number | undefined };

/** A synthesis as the ledger reserves it. Its text is not in it: it lies in the upload that the id of the job, or of its batch, names. */
export function draftSynthesis(c: EdgeContext, jobId: string, wanted: Wanted): JobDraft {
  const { key } = c.get("caller");
  const { requestId, traceparent } = traceOf(c);
  const createdAtMs = readId(jobId)!.createdAtMs;
  const { deadline_s, ...rest } = wanted;
  return {
    v: 1,
    id: jobId,
    kind: "synthesis",
    tenant_id: key.tenant_id,
    residency: key.residency,
    parts: [],
    upload_id: textUploadId(wanted.batch?.id ?? jobId),
    ...rest,
    created_at: new Date(createdAtMs).toISOString(),
    ...(deadline_s === undefined
      ? {}
      : { deadline_at: new Date(createdAtMs + deadline_s * 1000).toISOString() }),
    request_id: requestId,
    traceparent,
  };
}
