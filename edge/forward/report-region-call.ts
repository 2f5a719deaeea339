import type { Region } from "../../shared/contracts/regions.ts";
import type { Trace } from "../context.ts";
import { describeError, log } from "../ops/log.ts";
import type { Metrics } from "../ops/metrics.ts";

/** Counts a call to a region by how it went, and logs it where the region was at fault. */
export function reportRegionCall(
  metrics: Metrics | undefined,
  region: Region,
  { target, trace }: { target: string; trace?: Trace | undefined },
  outcome: { kind: string; error?: unknown },
): void {
  metrics?.count("antiphon_edge_region_calls_total", { region: region.id, outcome: outcome.kind });
  if (outcome.kind !== "unavailable" && outcome.kind !== "unclear") return;
  log("warn", "a region call failed", {
    region: region.id,
    target: target.split("?")[0],
    outcome: outcome.kind,
    request_id: trace?.requestId,
    error: describeError(outcome.error),
  });
}
