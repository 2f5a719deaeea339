import { audioContentType, Job } from "../../shared/contracts/api.ts";
import { isMultiRegion, mintJobId, readId } from "../../shared/contracts/ids.ts";
import { CreateAnalysis } from "../../shared/contracts/job.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { parseJson, readJsonText } from "../admit/read-body.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import type { StoredHere } from "../forward/submit-job.ts";
import type { EdgeServices } from "../services.ts";
import { baseUrl, json } from "./answer.ts";
import { draftAnalysis } from "./draft-analysis.ts";
import { readRawAudio } from "./raw-audio.ts";
import { createWaitForJob } from "./wait-for-job.ts";

/** `POST /v1/analyses`: a job from an upload, or from the audio itself as the body. */
export function createAnalysis(services: EdgeServices) {
  const { config, router, once, objects, secondCopy, retries, dispatchJob, describeJob } = services;
  const waitForJob = createWaitForJob(services);

  async function submit(
    c: EdgeContext,
    jobId: string,
    wanted: CreateAnalysis,
    candidates: readonly Region[],
    stored?: StoredHere & { sha256: string },
  ): Promise<Response> {
    if (isMultiRegion(wanted.upload_id)) {
      const { residency, tenant_id: tenantId } = c.get("caller").key;
      // Before anything is reserved: what is not accepted leaves nothing behind.
      await secondCopy.wait({ residency, tenantId }, wanted.upload_id, c.req.raw.signal);
    }
    const draft = draftAnalysis(c, jobId, wanted, stored?.sha256);
    const { job, queuePosition } = await dispatchJob(draft, candidates, traceOf(c), { stored });
    return json(describeJob.accepted(job, queuePosition), 202, {
      location: `${baseUrl(c, config.publicUrl)}/v1/jobs/${jobId}`,
    });
  }

  async function fromUpload(c: EdgeContext): Promise<Response> {
    const body = await readJsonText(c.req.raw);
    const wanted = parseRequest(CreateAnalysis, parseJson(body));
    const uploaded = readId(wanted.upload_id);
    if (!uploaded) throw new ApiError("upload_not_found");
    const { residency } = c.get("caller").key;
    const home = uploaded.region.id;
    const { priority } = wanted;
    const candidates = router.candidates({ request: c.req.raw, residency, home, priority });
    const mintId = () => mintJobId(candidates[0]!);
    return once(c, { body, mintId }, (jobId) => submit(c, jobId, wanted, candidates));
  }

  async function fromAudio(c: EdgeContext, contentType: string): Promise<Response> {
    const { key } = c.get("caller");
    const owner = { residency: key.residency, tenantId: key.tenant_id };
    const audio = readRawAudio(c.req.raw, contentType);
    const { residency } = key;
    const { priority, durability, ...wanted } = audio.wanted;
    if (durability === "multi_region") secondCopy.assertPossible(residency);
    const candidates = router.candidates({ request: c.req.raw, residency, priority });
    const mintId = () => mintJobId(candidates[0]!);
    const response = await once(c, { body: audio.fingerprint, mintId }, async (jobId) => {
      const stored = await audio.store(objects, candidates, owner, retries);
      const { region, uploadId, sha256 } = stored;
      const order = [region, ...candidates.filter(({ id }) => id !== region.id)];
      const analysis = { ...wanted, priority, upload_id: uploadId };
      const answer = await submit(c, jobId, analysis, order, stored);
      answer.headers.set("antiphon-content-sha256", sha256);
      return answer;
    });
    // The audio is not known before it has streamed through, so a replay is held against it only now.
    const expected = response.headers.get("antiphon-content-sha256");
    response.headers.delete("antiphon-content-sha256");
    if (response.headers.has("idempotency-replayed") && (await audio.hash()) !== expected) {
      throw new ApiError("idempotency_key_reused");
    }
    return response;
  }

  async function waitFor(c: EdgeContext, accepted: Response): Promise<Response> {
    const { id } = Job.parse(await accepted.clone().json());
    return waitForJob(c, accepted, id);
  }

  return async (c: EdgeContext): Promise<Response> => {
    const contentType = c.req.header("content-type") ?? "";
    if (/^application\/json\s*(;|$)/i.test(contentType)) return waitFor(c, await fromUpload(c));
    if (!audioContentType.safeParse(contentType).success) {
      throw new ApiError(
        "unsupported_media_type",
        "Send application/json, or audio such as audio/wav.",
      );
    }
    return waitFor(c, await fromAudio(c, contentType));
  };
}
