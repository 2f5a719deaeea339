/** How long a region that failed is passed over by this isolate. */
const PASS_OVER_MS = 5_000;

export interface RegionHealth {
  isHealthy(regionId: string): boolean;
  failed(regionId: string): void;
  answered(regionId: string): void;
}

/**
 * Passive health, per isolate: a region that did not answer is passed over for a few seconds. It costs
 * no request and needs no agreement; a wrong guess only means a longer way.
 */
export function createRegionHealth(now: () => number = Date.now): RegionHealth {
  const until = new Map<string, number>();
  return {
    isHealthy: (regionId) => (until.get(regionId) ?? 0) <= now(),
    failed: (regionId) => void until.set(regionId, now() + PASS_OVER_MS),
    answered: (regionId) => void until.delete(regionId),
  };
}
