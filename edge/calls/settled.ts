import { readId } from "../../shared/contracts/ids.ts";
import { SettledAnswer, SettledJobs } from "../../shared/contracts/internal-api.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { createReadRegionRequest } from "../admit/region-request.ts";
import type { EdgeContext } from "../context.ts";
import type { EdgeServices } from "../services.ts";
import { json } from "./answer.ts";

/** `POST /internal/settled`: a region tells of jobs whose rows its database server has. */
export function receiveSettled({ config, ledger }: EdgeServices) {
  const readRegionRequest = createReadRegionRequest(config);

  return async (c: EdgeContext): Promise<Response> => {
    const { region, body } = await readRegionRequest(c);
    const { jobs } = parseRequest(SettledJobs, body);
    // One region's secret must not be enough to have the ledger forget the jobs of another.
    if (jobs.some(({ job_id }) => readId(job_id)?.region.id !== region)) {
      throw new ApiError("invalid_request", "A region may only settle what was born there.");
    }
    return json(SettledAnswer.parse({ reduced: await ledger.settle(jobs) }));
  };
}
