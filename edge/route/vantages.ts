import type { Region } from "../../shared/contracts/regions.ts";
import { distanceKm } from "../../shared/policies/route.ts";
import type { VantageView } from "../../shared/policies/region-verdict.ts";
import { withTimeout } from "../admit/with-timeout.ts";
import { createCallObject } from "../ledger/placement.ts";
import type { RegionProbes } from "./region-probes.ts";

const LOOK_TIMEOUT_MS = 2_000;

export interface Vantages {
  /** What all of them see; those that do not answer are left out. */
  look(): Promise<VantageView[]>;
}

/** One prober for each jurisdiction that has a region, placed by a location hint. */
export function createVantages(
  namespace: DurableObjectNamespace<RegionProbes>,
  regions: readonly Region[],
): Vantages {
  const callObject = createCallObject(namespace, { jurisdictions: false });
  const names = [...new Set(regions.map(({ jurisdiction }) => jurisdiction))];

  async function look(): Promise<VantageView[]> {
    const seen = await Promise.all(
      names.map((name, index) =>
        withTimeout(
          callObject(
            `vantage/${name}`,
            name,
            (object) => object.view(name, index / names.length) as Promise<VantageView>,
          ),
          LOOK_TIMEOUT_MS,
        ).catch(() => undefined),
      ),
    );
    return seen.filter((view) => view !== undefined);
  }

  return { look };
}

/** The vantage next to a place. */
export function nearestVantage(
  regions: readonly Region[],
  place: { lat: number; lon: number } | undefined,
): string | undefined {
  const [first] = place
    ? regions.toSorted((a, b) => distanceKm(place, a) - distanceKm(place, b))
    : regions;
  return first?.jurisdiction;
}
