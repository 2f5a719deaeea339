import { Readiness, type RegionStatus } from "../../shared/contracts/api.ts";
import { RegionLoad } from "../../shared/contracts/load-report.ts";
import type { Region } from "../../shared/contracts/regions.ts";
import { readText } from "../admit/read-body.ts";
import type { EdgeConfig } from "../env.ts";
import type { CallRegion } from "../forward/call-region.ts";
import type { RegionHealth } from "./region-health.ts";

const CACHED_FOR_MS = 2_000;
const TIMEOUT_MS = 2_000;
const MAX_BYTES = 64 * 1024;

/** Health and load of every region, at most two seconds old. What is seen also counts for routing. */
export type ReadRegionStatus = () => Promise<RegionStatus[]>;

export function createRegionStatus(
  config: EdgeConfig,
  health: RegionHealth,
  callRegion: CallRegion,
  now: () => number = Date.now,
): ReadRegionStatus {
  let cached: { at: number; data: RegionStatus[] } | undefined;

  async function readLoad(region: Region): Promise<RegionStatus["load"]> {
    const outcome = await callRegion(region, {
      method: "GET",
      target: "/internal/load",
      answer: RegionLoad,
      timeoutMs: TIMEOUT_MS,
    });
    if (outcome.kind !== "done") return null;
    const { workers, capacity, active_jobs, queued_jobs, queued_compute_s, expected_wait_s } =
      outcome.value;
    return { workers, capacity, active_jobs, queued_jobs, queued_compute_s, expected_wait_s };
  }

  async function ask(region: Region): Promise<RegionStatus> {
    const [status, load] = await Promise.all([askWhetherReady(region), readLoad(region)]);
    return { ...status, load };
  }

  async function askWhetherReady(region: Region): Promise<Omit<RegionStatus, "load">> {
    const { id, name, jurisdiction } = region;
    const known = { id, name, jurisdiction };
    const began = now();
    try {
      const response = await fetch(`${config.endpoints[id]!.api.replace(/\/+$/, "")}/readyz`, {
        redirect: "manual",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const readiness = Readiness.parse(JSON.parse(await readText(response, MAX_BYTES)));
      const healthy = response.ok && readiness.status === "ready";
      if (healthy) health.answered(id);
      return {
        ...known,
        healthy,
        latency_ms: now() - began,
        waiting_jobs: readiness.waiting_jobs,
        running_jobs: readiness.running_jobs,
      };
    } catch {
      health.failed(id);
      return { ...known, healthy: false, latency_ms: null, waiting_jobs: null, running_jobs: null };
    }
  }

  return async () => {
    if (cached && now() - cached.at < CACHED_FOR_MS) return cached.data;
    const data = await Promise.all(config.regions.map(ask));
    cached = { at: now(), data };
    return data;
  };
}
