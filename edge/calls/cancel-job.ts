import { JobId } from "../../shared/contracts/ids.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { traceOf, type EdgeContext } from "../context.ts";
import type { EdgeServices } from "../services.ts";
import { baseUrl, json } from "./answer.ts";

/** `POST /v1/jobs/{id}/cancel`: 200 once the job is canceled; 202 while its worker has yet to stop. */
export function cancelJob({ config, cancelJob: cancel, describeJob }: EdgeServices) {
  return async (c: EdgeContext): Promise<Response> => {
    const id = JobId.safeParse(c.req.param("id"));
    if (!id.success) throw new ApiError("job_not_found");
    const key = { id: id.data, tenant_id: c.get("caller").key.tenant_id };
    const job = await cancel(key, traceOf(c));
    const described = await describeJob.whole(job, baseUrl(c, config.publicUrl), traceOf(c));
    return json(described, job.offer ? 200 : 202);
  };
}
