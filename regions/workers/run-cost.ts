import type { JobCost } from "../../shared/contracts/job.ts";
import type { PriceTable } from "../../shared/policies/price.ts";

/**
 * What a run cost, by stage.
 * @param stagesMs computing time of each stage, milliseconds
 */
export function runCost(stagesMs: Readonly<Record<string, number>>, prices: PriceTable): JobCost {
  const stages = Object.entries(stagesMs).map(([stage, ms]) => ({
    stage,
    seconds: ms / 1000,
    usd: (ms / 1000) * prices.cpu_second_usd,
  }));
  return { usd: stages.reduce((sum, stage) => sum + stage.usd, 0), stages };
}
