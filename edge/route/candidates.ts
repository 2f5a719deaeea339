import { isPermitted, type Region, type Residency } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import type { Priority } from "../../shared/contracts/job.ts";
import { rankRegions } from "../../shared/policies/route.ts";
import type { EdgeConfig } from "../env.ts";
import type { RegionHealth } from "./region-health.ts";
import { nearestVantage } from "./vantages.ts";

export interface CandidateInput {
  request: Request;
  residency: Residency;
  /** Where the content already lies; goes first unless another region is forced. */
  home?: string | undefined;
  /** Of the job to be placed; by default a standard one. */
  priority?: Priority | undefined;
}

export interface Router {
  /**
   * Permitted regions, best first; never empty. When every permitted region was passed over, those are given that may yet answer,
   * since a region that just failed is better than none.
   * @throws ApiError invalid_request | region_unavailable
   */
  candidates(input: CandidateInput): Region[];
  /** Every region, the best first: for calls that carry no content, such as key look-ups. */
  nearest(request: Request): Region[];
}

/** Orders regions for a request: forced, then home, then by what going there costs. */
export function createRouter(
  config: EdgeConfig,
  health: RegionHealth,
  random: () => number = Math.random,
): Router {
  function forcedRegion(request: Request): Region | undefined {
    const id = request.headers.get("x-antiphon-region");
    if (id === null || config.environment === "production") return undefined;
    const region = config.regions.find((known) => known.id === id);
    if (region) return region;
    throw new ApiError("invalid_request", "There is no such region.", {
      errors: [{ path: "X-Antiphon-Region", message: "is not a region of this deployment" }],
    });
  }

  interface Order {
    request: Request;
    residency: Residency;
    preferred?: string | undefined;
    priority?: Priority | undefined;
    /** In place of what is known of a region's health. */
    isUsable?: (regionId: string) => boolean;
  }

  function order({ request, residency, preferred, priority, isUsable }: Order): Region[] {
    const client = clientPosition(request);
    const vantage = nearestVantage(config.regions, client);
    return rankRegions({
      regions: config.regions,
      residency,
      preferred,
      draw: random(),
      view: (id) => {
        const view = health.view(id, vantage, priority);
        return isUsable ? { ...view, healthy: isUsable(id) } : view;
      },
      ...(client ? { client } : {}),
    });
  }

  function candidates({ request, residency, home, priority }: CandidateInput): Region[] {
    const forced = forcedRegion(request);
    if (forced && !isPermitted(residency, forced)) {
      throw new ApiError("region_unavailable", "The tenant's residency forbids this region.");
    }
    const input = { request, residency, priority, preferred: forced?.id ?? home };
    // Asked for by name is asked for: it is tried first, also when it just failed.
    const healthy = order({
      ...input,
      isUsable: (id) => id === forced?.id || health.isHealthy(id),
    });
    const found =
      healthy.length > 0 ? healthy : order({ ...input, isUsable: (id) => !health.isHopeless(id) });
    if (found.length === 0) throw new ApiError("region_unavailable");
    const homeAt = forced && home ? found.findIndex(({ id }) => id === home) : -1;
    if (homeAt > 1) found.splice(1, 0, ...found.splice(homeAt, 1));
    return found;
  }

  function nearest(request: Request): Region[] {
    const input: Order = { request, residency: "global" };
    const healthy = order(input);
    return healthy.length > 0 ? healthy : order({ ...input, isUsable: () => true });
  }

  return { candidates, nearest };
}

/** The client's place as Cloudflare estimates it; undefined when it does not know. */
function clientPosition(request: Request): { lat: number; lon: number } | undefined {
  const cf = request.cf as { latitude?: unknown; longitude?: unknown } | undefined;
  const lat = Number.parseFloat(String(cf?.latitude));
  const lon = Number.parseFloat(String(cf?.longitude));
  return Number.isFinite(lat) && Number.isFinite(lon) ? { lat, lon } : undefined;
}
