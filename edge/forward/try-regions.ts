import type { z } from "zod";
import type { Region } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import type { CallRegion, RegionCall } from "./call-region.ts";

/**
 * Asks one region after another until one decides. Only for calls that may be repeated elsewhere.
 * @throws ApiError the region's refusal, or dependency_unavailable when none answered
 */
export async function tryRegions<T extends z.ZodType>(
  callRegion: CallRegion,
  candidates: readonly Region[],
  call: RegionCall<T>,
): Promise<z.output<T>> {
  let last: unknown;
  for (const region of candidates) {
    const outcome = await callRegion(region, call);
    if (outcome.kind === "done") return outcome.value;
    if (outcome.kind === "refused") throw outcome.error;
    last = outcome.error;
  }
  throw new ApiError("dependency_unavailable", "No region answered.", { cause: last });
}
