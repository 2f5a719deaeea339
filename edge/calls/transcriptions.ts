import { Job } from "../../shared/contracts/api.ts";
import { mintJobId } from "../../shared/contracts/ids.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { sha256Hex } from "../../shared/signing/hmac.ts";
import { formatTranscript } from "../../shared/transcripts/format-transcript.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import type { LedgerJob } from "../ledger/ledger-job.ts";
import type { EdgeServices } from "../services.ts";
import { baseUrl, json } from "./answer.ts";
import { draftAnalysis } from "./draft-analysis.ts";
import { preferredWait } from "./preferred-wait.ts";
import { storeAudio } from "./raw-audio.ts";
import {
  MAX_FORM_BYTES,
  readTranscriptionForm,
  type TranscriptionRequest,
} from "./read-transcription-form.ts";

/** Longest wait for the job; OpenAI's clients give up after ten minutes. */
const MAX_WAIT_S = 300;
/** Each question to the ledger waits so long at most. */
const STEP_MS = 30_000;
/** A ledger that has too many waiters answers at once; it is not asked again before this. */
const PAUSE_MS = 1_000;
/** What clients declare follows from a file's name; what it is, is found out from the file. */
const STORED_TYPE = "application/octet-stream";

/**
 * `POST /v1/audio/transcriptions`, OpenAI's: an interactive analysis for the transcript alone, waited for. A call that ends
 * before its job does not undo it: the job goes on, and the same call under the same `Idempotency-Key` waits for it again.
 */
export function createTranscription(services: EdgeServices) {
  const { config, router, once, holdBody, objects, dispatchJob, describeJob, ledger } = services;

  async function submit(c: EdgeContext, { file, form }: TranscriptionRequest): Promise<string> {
    const { key } = c.get("caller");
    const owner = { residency: key.residency, tenantId: key.tenant_id };
    const candidates = router.candidates({
      request: c.req.raw,
      residency: key.residency,
      priority: "interactive",
    });
    const sha256 = await sha256Hex(new Uint8Array(await file.arrayBuffer()));
    const fingerprint = JSON.stringify([form, sha256]);
    const mintId = () => mintJobId(candidates[0]!);
    const accepted = await once(c, { body: fingerprint, mintId }, async (jobId) => {
      const stored = await storeAudio(objects, candidates[0]!, owner, {
        body: file.stream() as ReadableStream<Uint8Array>,
        bytes: file.size,
        contentType: STORED_TYPE,
      });
      const draft = draftAnalysis(
        c,
        jobId,
        {
          upload_id: stored.uploadId,
          parts: ["transcript"],
          model: form.model,
          ...(form.language === undefined ? {} : { language: form.language }),
          priority: "interactive",
        },
        sha256,
      );
      const { job, queuePosition } = await dispatchJob(draft, candidates, traceOf(c), { stored });
      return json(describeJob.accepted(job, queuePosition), 202);
    });
    return Job.parse(await accepted.json()).id;
  }

  async function waitUntilFinal(
    key: { id: string; tenant_id: string },
    seconds: number,
  ): Promise<LedgerJob | undefined> {
    const until = Date.now() + seconds * 1000;
    for (;;) {
      const left = until - Date.now();
      const job = await ledger.wait(key, Math.max(0, Math.min(left, STEP_MS)));
      if (job?.state === "final") return job;
      if (until - Date.now() <= 0) return undefined;
      await scheduler.wait(Math.min(PAUSE_MS, Math.max(0, until - Date.now())));
    }
  }

  return async (c: EdgeContext): Promise<Response> => {
    if (c.get("caller").key.keeps_results === false) {
      throw new ApiError(
        "not_available",
        "Results of this tenant are sent by webhook alone; ask for the part `transcript` of POST /v1/analyses.",
      );
    }
    // Once it is submitted the file is let go: the wait may be long.
    const { id, form, seconds } = await holdBody(c, MAX_FORM_BYTES, async (limit) => {
      const request = await readTranscriptionForm(c.req.raw, limit);
      const seconds = preferredWait(c.req.header("prefer"), MAX_WAIT_S) ?? MAX_WAIT_S;
      return { id: await submit(c, request), form: request.form, seconds };
    });
    const headers = { "x-antiphon-job": id };
    const final = await waitUntilFinal({ id, tenant_id: c.get("caller").key.tenant_id }, seconds);
    const base = baseUrl(c, config.publicUrl);
    if (final === undefined) {
      throw new ApiError("job_unfinished", `The job ${id} is not ready after ${seconds} s.`, {
        headers: {
          ...headers,
          location: `${base}/v1/jobs/${id}`,
          "retry-after": "5",
          // Without a key, another call is another job.
          "x-should-retry": String(c.req.header("idempotency-key") !== undefined),
        },
      });
    }
    const { result, error } = await describeJob.whole(final, base, traceOf(c));
    if (error) throw new ApiError(error.code, error.detail, { headers });
    const transcript = result?.transcript;
    if (!result || !transcript) {
      throw new ApiError("job_not_found", `The job ${id} has no transcript.`, { headers });
    }
    if ("status" in transcript) {
      const { reason, install } = transcript;
      const detail = install === undefined ? reason : `${reason} To install one: ${install}`;
      throw new ApiError("not_available", detail, { headers });
    }
    const engine = result.engines["transcribe"];
    const formatted = formatTranscript(transcript, form.response_format, {
      duration_s: result.audio.duration_s,
      temperature: form.temperature,
      granularities: form["timestamp_granularities[]"] ?? ["segment"],
      stream: form.stream === "true",
    });
    return new Response(formatted.body, {
      headers: {
        ...headers,
        "content-type": formatted.contentType,
        "x-antiphon-quality": transcript.quality,
        ...(engine ? { "x-antiphon-engine": `${engine.name} ${engine.version}` } : {}),
      },
    });
  };
}
