import { JobId } from "../../shared/contracts/ids.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import type { EdgeServices } from "../services.ts";
import { baseUrl, json } from "./answer.ts";
import { createFindJob } from "./find-job.ts";

/** `POST /v1/jobs/{id}/cancel`: 200 once the job is canceled; 202 while its worker has yet to stop. */
export function cancelJob(services: EdgeServices) {
  const { config, cancelJob: cancel, describeJob } = services;
  const findJob = createFindJob(services);

  return async (c: EdgeContext): Promise<Response> => {
    const id = JobId.safeParse(c.req.param("id"));
    if (!id.success) throw new ApiError("job_not_found");
    const key = { id: id.data, tenant_id: c.get("caller").key.tenant_id };
    const job = await cancel(key, traceOf(c)).catch(async (error: unknown) => {
      if (!(error instanceof ApiError && error.code === "job_not_found")) throw error;
      // One that ended long ago, unless there is none.
      const ended = await findJob(c, id.data);
      if (ended.offer?.status !== "canceled") throw new ApiError("cancel_too_late");
      return ended;
    });
    const described = await describeJob.whole(job, baseUrl(c, config.publicUrl), traceOf(c));
    return json(described, job.offer ? 200 : 202);
  };
}
