import { SettledAnswer, SettledJobs } from "../../shared/contracts/internal-api.ts";
import { parseRequest } from "../../shared/errors/problem.ts";
import { createReadRegionRequest } from "../admit/region-request.ts";
import type { EdgeContext } from "../context.ts";
import type { EdgeServices } from "../services.ts";
import { json } from "./answer.ts";

/** `POST /internal/settled`: a region tells of jobs whose rows its database server has. */
export function receiveSettled({ config, ledger }: EdgeServices) {
  const readRegionRequest = createReadRegionRequest(config);

  return async (c: EdgeContext): Promise<Response> => {
    const { body } = await readRegionRequest(c);
    const { jobs } = parseRequest(SettledJobs, body);
    return json(SettledAnswer.parse({ reduced: await ledger.settle(jobs) }));
  };
}
