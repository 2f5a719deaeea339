import { isPermitted, type Region, type Residency } from "../contracts/regions.ts";

/** What is known of a region at the moment of a request. */
export interface RegionView {
  /** Neither ejected nor behind an open circuit. */
  healthy: boolean;
  /** Answers, but far more slowly than it used to. */
  slow: boolean;
  /** Measured round trip from near the client, in milliseconds; null when nobody has measured it. */
  latencyMs: number | null;
  /** Seconds until a job that comes now is begun; Infinity without workers, null when not known. */
  expectedWaitS: number | null;
  /** How long ago it came back after it was away; null when it never was. */
  backForMs: number | null;
}

/** Of a region of which nothing is known: it is used until it fails. */
export const UNKNOWN_REGION: RegionView = {
  healthy: true,
  slow: false,
  latencyMs: null,
  expectedWaitS: null,
  backForMs: null,
};

export interface RankInput {
  regions: readonly Region[];
  residency: Residency;
  /** Where the client is, in degrees; absent when unknown. */
  client?: { lat: number; lon: number };
  view(regionId: string): RegionView;
  /** A region asked for by name (outside production, or where the upload lies): goes first if permitted and healthy. */
  preferred?: string | undefined;
  /** In [0, 1), drawn for this request: which share of the requests a region that came back gets. */
  draw: number;
}

/** A region that came back gets all of its requests again after this long, and until then a share that grows with time. */
export const SLOW_START_MS = 30_000;
const SLOW_START_LEAST = 0.1;
/** Waits below this are no reason to go farther away; it also keeps small changes of load from moving everybody at once. */
const WAIT_IGNORED_S = 1;
/** Kilometres that a round trip covers in a millisecond: light in glass does 100, and cables are not straight. */
const KM_PER_MS = 66;

/**
 * The regions a request may go to, best first: permitted by residency, then healthy, then by what it costs in time: the way there
 * (as measured, else by distance) and the wait for a worker. Slow regions, and those that came back a moment ago and have
 * had their share, come last. Equal costs go by distance, then by the order of the list.
 * Never holds a region that residency forbids; empty when none is both permitted and healthy.
 */
export function rankRegions(input: RankInput): Region[] {
  const { regions, residency, client, preferred, draw } = input;
  return regions
    .filter((region) => isPermitted(residency, region))
    .map((region) => ({ region, view: input.view(region.id) }))
    .filter(({ view }) => view.healthy)
    .map(({ region, view }) => {
      const km = client ? distanceKm(client, region) : 0;
      return { region, km, tier: tierOf(region, view), costMs: costMs(view, km) };
    })
    .sort((a, b) => a.tier - b.tier || compare(a.costMs, b.costMs) || a.km - b.km)
    .map(({ region }) => region);

  function tierOf(region: Region, view: RegionView): number {
    if (region.id === preferred) return 0;
    return view.slow || draw >= shareOf(view) ? 2 : 1;
  }
}

/** The share of requests that a region gets which it would get all of, had it never been away. */
export function shareOf({ backForMs }: Pick<RegionView, "backForMs">): number {
  if (backForMs === null) return 1;
  return Math.min(1, Math.max(SLOW_START_LEAST, backForMs / SLOW_START_MS));
}

/** What going there costs in time, in milliseconds. */
export function costMs(view: RegionView, km: number): number {
  const wayMs = view.latencyMs ?? km / KM_PER_MS;
  return wayMs + 1000 * Math.max(0, (view.expectedWaitS ?? 0) - WAIT_IGNORED_S);
}

/** Infinite costs are equal, where their difference would not be a number. */
const compare = (a: number, b: number) => (a === b ? 0 : a - b);

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
