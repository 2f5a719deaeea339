import { MAX_UPLOAD_BYTES } from "../../shared/contracts/api.ts";
import type { SubmitAnswer } from "../../shared/contracts/internal-api.ts";
import type { JobSpec } from "../../shared/contracts/job.ts";
import { uploadKey } from "../../shared/contracts/object-keys.ts";
import { isPermitted, type Region } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
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
import type { FinishAtAccept } from "./finish-at-accept.ts";

export interface SubmitJobParts {
  region: Region;
  queue: Pick<Queue, "submit" | "submitFinished">;
  objects: Pick<ObjectStore, "head">;
  /** Knows jobs that need no work; without it every job waits for a worker. */
  finishAtAccept?: FinishAtAccept | undefined;
}

/**
 * Takes a job that the ledger gave to this region, once its audio is known to be here, and ends it at once where its result is
 * known too. After the answer it is on disk.
 * @throws ApiError region_unavailable | upload_not_found | upload_too_large | audio_empty | replayed_request |
 *   dependency_unavailable (nothing was taken)
 */
export function createSubmitJob({ region, queue, objects, finishAtAccept }: SubmitJobParts) {
  async function take(spec: JobSpec, complete: Complete | undefined) {
    if (complete === undefined) return queue.submit(spec);
    let completion: Completion | undefined;
    const taken = await queue.submitFinished(spec, (run) => (completion = complete(run)));
    // Of a dispatch that was here before, nobody knows how it ended, or will end, but its own offer.
    return taken.duplicate || !completion ? taken : { ...taken, completion: completion.offer };
  }

  return async (spec: JobSpec, signal?: AbortSignal): Promise<SubmitAnswer> => {
    // The edge checks this too; content must not end up here by one mistake alone.
    if (!isPermitted(spec.residency, region)) {
      throw new ApiError(
        "region_unavailable",
        `${region.id} may not hold what is bound to ${spec.residency}.`,
      );
    }
    const owner = { residency: spec.residency, tenantId: spec.tenant_id };
    const upload = await objects.head(
      uploadKey(owner, spec.upload_id),
      signal ? { signal } : undefined,
    );
    if (!upload) throw new ApiError("upload_not_found");
    if (upload.bytes === 0) throw new ApiError("audio_empty");
    if (upload.bytes > MAX_UPLOAD_BYTES) {
      throw new ApiError("upload_too_large", `An upload has at most ${MAX_UPLOAD_BYTES} bytes.`);
    }
    const complete = await finishAtAccept?.(spec, upload, signal);
    try {
      const taken = await take(spec, complete);
      return { job_id: spec.id, dispatch: spec.dispatch, ...taken };
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
