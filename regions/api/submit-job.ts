import { MAX_UPLOAD_BYTES } from "../../shared/contracts/api.ts";
import type { SubmitAnswer } from "../../shared/contracts/internal-api.ts";
import type { JobSpec } from "../../shared/contracts/job.ts";
import { uploadKey } from "../../shared/contracts/object-keys.ts";
import { isPermitted, type Region } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { QueueUnreachableError, StaleDispatchError, type Queue } from "../queue/queue-port.ts";
import type { ObjectStore } from "../store/object-store-port.ts";

export interface SubmitJobParts {
  region: Region;
  queue: Pick<Queue, "submit">;
  objects: Pick<ObjectStore, "head">;
}

/**
 * Takes a job that the ledger gave to this region, once its audio is known to be here. After the answer it is on disk.
 * @throws ApiError region_unavailable | upload_not_found | upload_too_large | audio_empty | replayed_request |
 *   dependency_unavailable (nothing was taken)
 */
export function createSubmitJob({ region, queue, objects }: SubmitJobParts) {
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
    try {
      const taken = await queue.submit(spec);
      return { job_id: spec.id, dispatch: spec.dispatch, ...taken };
    } catch (error) {
      if (error instanceof StaleDispatchError) {
        throw new ApiError("replayed_request", "A newer dispatch of this job is here.", {
          cause: error,
        });
      }
      if (error instanceof QueueUnreachableError) {
        throw new ApiError("dependency_unavailable", "The queue is away.", { cause: error });
      }
      // Whether it was taken is not known: that must not look like a refusal.
      throw error;
    }
  };
}
