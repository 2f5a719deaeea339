import { mintJobId, textUploadId } from "../../shared/contracts/ids.ts";
import { uploadKey } from "../../shared/contracts/object-keys.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import { voiceId } from "../../shared/contracts/speech.ts";
import {
  CreateSpeechJob,
  SpeechJobAccepted,
  type SpeechJobAccepted as Accepted,
} from "../../shared/contracts/speech-jobs.ts";
import { parseRequest } from "../../shared/errors/problem.ts";
import { speechComputeS } from "../../shared/policies/speech-estimate.ts";
import { parseJson, readJsonText } from "../admit/read-body.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import type { EdgeServices } from "../services.ts";
import { baseUrl, json } from "./answer.ts";
import { draftSynthesis } from "./draft-synthesis.ts";
import { createWaitForJob } from "./wait-for-job.ts";

/** A few kilobytes: a bucket that takes longer is passed over. */
const TEXT_TIMEOUT_MS = 3_000;

/** `POST /v1/audio/speech/async`: speech as a job. Its text goes into a region's bucket before that region gets the job. */
export function createSpeechJob(services: EdgeServices) {
  const { config, router, once, objects, dispatchJob } = services;
  const waitForJob = createWaitForJob(services);

  async function submit(
    c: EdgeContext,
    jobId: string,
    wanted: CreateSpeechJob,
    candidates: readonly Region[],
  ): Promise<Response> {
    const { key } = c.get("caller");
    const text = new TextEncoder().encode(wanted.input);
    const { priority, user_id, metadata, deadline_s, webhook_url } = wanted;
    const voice = voiceId(wanted.voice);
    const draft = draftSynthesis(c, jobId, {
      priority,
      speech: {
        text: { offset: 0, bytes: text.byteLength },
        voice,
        response_format: wanted.response_format,
        speed: wanted.speed,
      },
      deadline_s,
      ...(user_id === undefined ? {} : { user_id }),
      ...(metadata === undefined ? {} : { metadata }),
      ...(webhook_url === undefined ? {} : { webhook: { url: webhook_url } }),
    });
    const owner = { residency: key.residency, tenantId: key.tenant_id };
    const at = uploadKey(owner, textUploadId(jobId));
    const { queuePosition = 0 } = await dispatchJob(draft, candidates, traceOf(c), {
      bring: (region) =>
        objects.put(region, at, text, "text/plain; charset=utf-8", TEXT_TIMEOUT_MS),
    });
    const status_url = `${baseUrl(c, config.publicUrl)}/v1/jobs/${jobId}`;
    const eachS = speechComputeS(voice, text.byteLength);
    const estimated_seconds = Math.round((queuePosition + 1) * eachS * 10) / 10;
    const accepted: Accepted = { job_id: jobId, status_url, estimated_seconds };
    return json(accepted, 202, { location: status_url });
  }

  return async (c: EdgeContext): Promise<Response> => {
    const body = await readJsonText(c.req.raw);
    const wanted = parseRequest(CreateSpeechJob, parseJson(body));
    const { residency } = c.get("caller").key;
    const candidates = router.candidates({ request: c.req.raw, residency });
    const mintId = () => mintJobId(candidates[0]!);
    const accepted = await once(c, { body, mintId }, (id) => submit(c, id, wanted, candidates));
    const { job_id } = SpeechJobAccepted.parse(await accepted.clone().json());
    return waitForJob(c, accepted, job_id);
  };
}
