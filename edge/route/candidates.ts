import { isPermitted, type Region, type Residency } from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { routeCandidates } from "../../shared/policies/route.ts";
import type { EdgeConfig } from "../env.ts";
import type { RegionHealth } from "./region-health.ts";

export interface CandidateInput {
  request: Request;
  residency: Residency;
  /** Where the content already lies; goes first unless another region is forced. */
  home?: string | undefined;
}

export interface Router {
  /**
   * Permitted regions, best first; never empty. When every permitted region was passed over, all of them
   * are given, since a region that just failed is better than none.
   * @throws ApiError invalid_request | region_unavailable
   */
  candidates(input: CandidateInput): Region[];
  /** Every region, nearest healthy first: for calls that carry no content, such as key look-ups. */
  nearest(request: Request): Region[];
}

/** Orders regions for a request: forced, then home, then by distance from the client. */
export function createRouter(config: EdgeConfig, health: RegionHealth): Router {
  function forcedRegion(request: Request): Region | undefined {
    const id = request.headers.get("x-antiphon-region");
    if (id === null || config.environment === "production") return undefined;
    const region = config.regions.find((known) => known.id === id);
    if (region) return region;
    throw new ApiError("invalid_request", "There is no such region.", {
      errors: [{ path: "X-Antiphon-Region", message: "is not a region of this deployment" }],
    });
  }

  function order(
    request: Request,
    residency: Residency,
    preferred?: string,
    isHealthy: (regionId: string) => boolean = health.isHealthy,
  ): Region[] {
    const client = clientPosition(request);
    return routeCandidates({
      regions: config.regions,
      residency,
      isHealthy,
      preferred,
      ...(client ? { client } : {}),
    });
  }

  function candidates({ request, residency, home }: CandidateInput): Region[] {
    const forced = forcedRegion(request);
    if (forced && !isPermitted(residency, forced)) {
      throw new ApiError("region_unavailable", "The tenant's residency forbids this region.");
    }
    const preferred = forced?.id ?? home;
    // Asked for by name is asked for: it is tried first, also when it just failed.
    const isHealthy = (id: string) => id === forced?.id || health.isHealthy(id);
    const healthy = order(request, residency, preferred, isHealthy);
    const found = healthy.length > 0 ? healthy : order(request, residency, preferred, () => true);
    if (found.length === 0) throw new ApiError("region_unavailable");
    const homeAt = forced && home ? found.findIndex(({ id }) => id === home) : -1;
    if (homeAt > 1) found.splice(1, 0, ...found.splice(homeAt, 1));
    return found;
  }

  function nearest(request: Request): Region[] {
    const healthy = order(request, "global");
    return healthy.length > 0 ? healthy : order(request, "global", undefined, () => true);
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
