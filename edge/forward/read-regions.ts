import type { z } from "zod";
import type { Region } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import type { Metrics } from "../ops/metrics.ts";
import type { RegionHealth } from "../route/region-health.ts";
import type { CallRegion, RegionCall } from "./call-region.ts";
import type { RetryBudget } from "./retry-budget.ts";

/** After this long a second region is asked, while nobody knows yet how long reads usually take. */
const HEDGE_AFTER_MS = 1_000;
/** An answer that is only a little late is not worth another's work. */
const HEDGE_LEAST_MS = 50;

/** @throws ApiError the region's refusal, or dependency_unavailable when none answered */
export type ReadRegions = <T extends z.ZodType>(
  candidates: readonly Region[],
  call: RegionCall<T>,
) => Promise<z.output<T>>;

/**
 * Reads from the first of several regions that answers: the next is asked when one fails, and, once, when the first takes longer than
 * 95 of 100 reads there do. Only for calls that change nothing.
 */
export function createReadRegions(
  callRegion: CallRegion,
  health: Pick<RegionHealth, "usualReadMs" | "readTook">,
  budget: RetryBudget,
  metrics?: Pick<Metrics, "count">,
): ReadRegions {
  return async (candidates, call) => {
    type Outcome = Awaited<ReturnType<typeof callRegion<typeof call.answer>>>;
    const running = new Map<Region, Promise<{ region: Region; outcome: Outcome }>>();
    const left = [...candidates];
    const [first] = left;
    let hedges = true;
    let hedged: Region | undefined;
    let last: unknown;
    const askNext = (): void => {
      const region = left.shift()!;
      const began = Date.now();
      const asked = callRegion(region, call).then((outcome) => {
        if (outcome.kind === "done") health.readTook(region.id, Date.now() - began);
        return { region, outcome };
      });
      running.set(region, asked);
    };

    budget.began();
    if (first) askNext();
    while (running.size > 0) {
      const hedgeAfterMs =
        hedges && left.length > 0
          ? Math.max(HEDGE_LEAST_MS, health.usualReadMs(first!.id) ?? HEDGE_AFTER_MS)
          : undefined;
      const ended = await orLate(Promise.race(running.values()), hedgeAfterMs);
      if (ended === undefined) {
        hedges = false;
        if (budget.takes("hedge")) {
          hedged = left[0];
          askNext();
        }
        continue;
      }
      const { region, outcome } = ended;
      running.delete(region);
      if (hedged && outcome.kind === "done") {
        const result = region === hedged ? "won" : "lost";
        metrics?.count("antiphon_edge_hedges_total", { region: hedged.id, result });
      }
      if (outcome.kind === "done") return outcome.value;
      if (outcome.kind === "refused") throw outcome.error;
      last = outcome.error;
      if (running.size === 0 && left.length > 0 && budget.takes("read")) askNext();
    }
    throw new ApiError("dependency_unavailable", "No region answered.", { cause: last });
  };
}

/** Undefined when there is no outcome within `ms`; the work goes on. */
async function orLate<T>(work: Promise<T>, ms: number | undefined): Promise<T | undefined> {
  if (ms === undefined) return work;
  let timer: ReturnType<typeof setTimeout> | null = null;
  try {
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), ms);
    });
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
