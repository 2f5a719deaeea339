import { readId } from "../../shared/contracts/ids.ts";
import { AnalysisPart, type CreateAnalysis } from "../../shared/contracts/job.ts";
import { readSpokenLanguage } from "../../shared/contracts/spoken-language.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import type { JobDraft } from "../ledger/ledger-job.ts";

/** An analysis as the ledger reserves it: what the caller wants, and who the caller is. */
export function draftAnalysis(
  c: EdgeContext,
  jobId: string,
  wanted: CreateAnalysis,
  /** Hex; of an upload that this edge wrote itself. */
  audioSha256?: string,
): JobDraft {
  const { key } = c.get("caller");
  const { requestId, traceparent } = traceOf(c);
  const { parts, language, model, upload_id, priority, user_id, metadata, deadline_s } = wanted;
  const { webhook_url: url, webhook_include_result: include_result } = wanted;
  const createdAtMs = readId(jobId)!.createdAtMs;
  return {
    v: 1,
    id: jobId,
    kind: "analysis",
    tenant_id: key.tenant_id,
    residency: key.residency,
    priority,
    parts: parts ?? AnalysisPart.options,
    // By the code that engines know it by; what none may know, the region refuses.
    ...(language === undefined ? {} : { language: readSpokenLanguage(language) ?? language }),
    ...(model === undefined ? {} : { model }),
    upload_id,
    ...(audioSha256 === undefined ? {} : { audio_sha256: audioSha256 }),
    ...(user_id === undefined ? {} : { user_id }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(url === undefined
      ? {}
      : { webhook: { url, ...(include_result === undefined ? {} : { include_result }) } }),
    ...(key.keeps_results === false ? { tenant: { keeps_results: false as const } } : {}),
    created_at: new Date(createdAtMs).toISOString(),
    ...(deadline_s === undefined
      ? {}
      : { deadline_at: new Date(createdAtMs + deadline_s * 1000).toISOString() }),
    request_id: requestId,
    traceparent,
  };
}
