import { CompletionBatch, type CompletionVerdict } from "../../shared/contracts/completion.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { createReadRegionRequest } from "../admit/region-request.ts";
import type { EdgeContext } from "../context.ts";
import type { EdgeServices } from "../services.ts";
import { json } from "./answer.ts";

/** `POST /internal/completions`: a region's offers of final states, and the ledger's verdict on each that it can decide now. */
export function receiveCompletions({ config, ledger }: EdgeServices) {
  const readRegionRequest = createReadRegionRequest(config);

  return async (c: EdgeContext): Promise<Response> => {
    const { region, body } = await readRegionRequest(c);
    const { offers } = parseRequest(CompletionBatch, body);
    // One region's secret must not be enough to end the jobs of another.
    if (offers.some((offer) => offer.region !== region)) {
      throw new ApiError("invalid_request", "A region may only offer what ran there.");
    }
    const decided = await ledger.complete(offers);
    const verdicts = offers.flatMap(({ job_id, epoch }, i): CompletionVerdict[] => {
      const verdict = decided[i];
      return verdict === undefined ? [] : [{ job_id, epoch, verdict }];
    });
    return json({ verdicts });
  };
}
