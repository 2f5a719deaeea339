import { MAX_UPLOAD_BYTES } from "../../shared/contracts/api.ts";
import type { StoredUpload, SubmitAnswer } from "../../shared/contracts/internal-api.ts";
import { leavesNoResult, type JobSpec, type SpeechTask } from "../../shared/contracts/job.ts";
import { uploadKey } from "../../shared/contracts/object-keys.ts";
import { isPermitted, type Region } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { speechComputeS } from "../../shared/policies/speech-estimate.ts";
import { failed } from "../queue/completion.ts";
import {
  QueueFullError,
  QueueUnreachableError,
  QueueUnsafeError,
  StaleDispatchError,
  type Complete,
  type Completion,
  type Queue,
} from "../queue/queue-port.ts";
import type { ObjectStore } from "../store/object-store-port.ts";
import type { JobHistoryStore } from "../results/job-history.ts";
import type { FinishAtAccept } from "./finish-at-accept.ts";
import type { SpeechSource } from "./speech-routes.ts";

export interface SubmitJobParts {
  region: Region;
  queue: Pick<Queue, "submit" | "submitFinished">;
  objects: Pick<ObjectStore, "head" | "getText">;
  /** Knows what is wrong with a text or a voice before anybody works on it. */
  speech: Pick<SpeechSource, "prepare">;
  /** Knows jobs that need no work; without it every job waits for a worker. */
  finishAtAccept?: FinishAtAccept | undefined;
  /** Refuses a job whose own webhook could never be sent. @throws ApiError */
  checkWebhook?: ((tenantId: string, url: string) => Promise<void>) | undefined;
  /** Refuses a job whose result would go out by webhooks alone, and has none to go by. @throws ApiError */
  checkTarget?: ((tenantId: string) => Promise<void>) | undefined;
  /** What jobs took before; without it all analyses count as equally long. */
  jobHistory?: Pick<JobHistoryStore, "estimateS"> | undefined;
}

/**
 * Takes a job that the ledger gave to this region, once its audio or text is known to be here, and ends it at once where its result
 * is known too. After the answer it is on disk. `stored`: what the edge has put into this region's bucket just now; the bucket is not
 * asked again.
 * @throws ApiError region_unavailable | upload_not_found | upload_too_large | audio_empty | replayed_request | what is wrong with a
 *   text, voice or webhook | dependency_unavailable, system_busy (nothing was taken)
 */
export function createSubmitJob(parts: SubmitJobParts) {
  const { region, queue, objects, speech, finishAtAccept, jobHistory } = parts;
  const { checkWebhook, checkTarget } = parts;
  const take = createTakeJob(queue);

  /** Text that nobody could speak is refused; a batch's need only be here, the rest is left to the workers. */
  async function checkText(spec: JobSpec, task: SpeechTask, signal?: AbortSignal): Promise<void> {
    const { text, voice, response_format: format, speed } = task;
    if (spec.batch) {
      if (await objects.head(inputKeyOf(spec), signal ? { signal } : undefined)) return;
      throw new ApiError("upload_not_found");
    }
    const found = await objects.getText(inputKeyOf(spec), text.bytes, {
      range: text,
      ...(signal ? { signal } : {}),
    });
    if (found === undefined) throw new ApiError("upload_not_found");
    speech.prepare({ input: found, voice, format, speed });
  }

  async function checkAudio(
    spec: JobSpec,
    stored: StoredUpload | undefined,
    signal?: AbortSignal,
  ): Promise<{ complete: Complete | undefined; estimateS?: number | undefined }> {
    const upload = stored
      ? {
          bytes: stored.bytes,
          etag: stored.etag,
          contentType: stored.type,
          lastModified: undefined,
        }
      : await objects.head(inputKeyOf(spec), signal ? { signal } : undefined);
    if (!upload) throw new ApiError("upload_not_found");
    if (upload.bytes === 0) throw new ApiError("audio_empty");
    if (upload.bytes > MAX_UPLOAD_BYTES) {
      throw new ApiError("upload_too_large", `An upload has at most ${MAX_UPLOAD_BYTES} bytes.`);
    }
    const complete = await finishAtAccept?.(spec, upload, signal);
    return { complete, estimateS: jobHistory?.estimateS(spec, upload) };
  }

  return async (
    spec: JobSpec,
    { stored, signal }: { stored?: StoredUpload | undefined; signal?: AbortSignal } = {},
  ): Promise<SubmitAnswer> => {
    assertPermitted(spec, region);
    if (spec.webhook) await checkWebhook?.(spec.tenant_id, spec.webhook.url);
    if (!spec.webhook && leavesNoResult(spec)) await checkTarget?.(spec.tenant_id);
    const fault = faultOf(spec, region);
    const audio =
      spec.kind === "analysis" && !fault ? await checkAudio(spec, stored, signal) : undefined;
    if (spec.speech && !fault) await checkText(spec, spec.speech, signal);
    const taken = await take(spec, fault ?? audio?.complete, audio?.estimateS);
    return { job_id: spec.id, dispatch: spec.dispatch, ...taken };
  };
}

/** Puts a job into the queue, or its end where that is known. @throws ApiError when nothing was taken */
export function createTakeJob(queue: Pick<Queue, "submit" | "submitFinished">) {
  return async (spec: JobSpec, complete: Complete | undefined, estimateS?: number) => {
    try {
      if (complete === undefined) {
        return await queue.submit(spec, estimateS === undefined ? estimateOf(spec) : { estimateS });
      }
      let completion: Completion | undefined;
      const taken = await queue.submitFinished(spec, (run) => (completion = complete(run)));
      // Of a dispatch that was here before, nobody knows how it ended, or will end, but its own offer.
      return taken.duplicate || !completion ? taken : { ...taken, completion: completion.offer };
    } catch (error) {
      if (error instanceof StaleDispatchError) {
        throw new ApiError("replayed_request", "A newer dispatch of this job is here.", {
          cause: error,
        });
      }
      // In these cases nothing was taken: another region may.
      if (error instanceof QueueUnreachableError || error instanceof QueueUnsafeError) {
        throw new ApiError("dependency_unavailable", "The queue is away.", { cause: error });
      }
      if (error instanceof QueueFullError) {
        throw new ApiError("system_busy", "The queue has no room.", { cause: error });
      }
      // Whether it was taken is not known: that must not look like a refusal.
      throw error;
    }
  };
}

/** The edge checks this too; content must not end up here by one mistake alone. @throws ApiError region_unavailable */
export function assertPermitted({ residency }: Pick<JobSpec, "residency">, region: Region): void {
  if (isPermitted(residency, region)) return;
  throw new ApiError(
    "region_unavailable",
    `${region.id} may not hold what is bound to ${residency}.`,
  );
}

/** The end of an item that was wrong to begin with. */
export function faultOf({ fault }: JobSpec, region: Region): Complete | undefined {
  if (!fault) return undefined;
  return (run) => failed({ ...run, region: region.id, finishedAtMs: run.startedAtMs, ...fault });
}

/** Where a job's recording or text lies. */
export const inputKeyOf = (spec: JobSpec): string =>
  uploadKey({ residency: spec.residency, tenantId: spec.tenant_id }, spec.upload_id);

const estimateOf = ({ speech }: JobSpec) =>
  speech ? { estimateS: speechComputeS(speech.voice, speech.text.bytes) } : {};
