import { isPermitted, type Region, type Residency } from "../contracts/regions.ts";

export interface RouteInput {
  regions: readonly Region[];
  residency: Residency;
  /** Where the client is, in degrees; absent when unknown. */
  client?: { lat: number; lon: number };
  isHealthy(regionId: string): boolean;
  /** A region asked for by name (outside production, or where the upload lies): goes first if permitted. */
  preferred?: string | undefined;
}

/**
 * The regions a request may go to, best first: permitted by residency, then healthy, then by distance.
 * Never holds a region that residency forbids; empty when none is both permitted and healthy.
 */
export function routeCandidates(input: RouteInput): Region[] {
  return input.regions
    .filter((region) => isPermitted(input.residency, region) && input.isHealthy(region.id))
    .map((region) => ({
      region,
      rank:
        region.id === input.preferred ? -1 : input.client ? distanceKm(input.client, region) : 0,
    }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ region }) => region);
}

/** Great-circle distance in kilometres (haversine, mean radius 6371 km). */
export function distanceKm(
  a: { lat: number; lon: number },
  b: { lat: number; lon: number },
): number {
  const radians = (degrees: number) => (degrees * Math.PI) / 180;
  const dLat = radians(b.lat - a.lat);
  const dLon = radians(b.lon - a.lon);
  const h =
    Math.sin(dLat / 2) ** 2 +
    Math.cos(radians(a.lat)) * Math.cos(radians(b.lat)) * Math.sin(dLon / 2) ** 2;
  return 2 * 6371 * Math.asin(Math.min(1, Math.sqrt(h)));
}
