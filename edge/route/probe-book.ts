import {
  EJECT_AFTER,
  type RegionProbe,
  type VantageView,
} from "../../shared/policies/region-verdict.ts";

/** Weight of the newest round trip in the moving average, and in the far slower one of what is usual. */
const NEWEST = 0.4;
const NEWEST_OF_USUAL = 0.02;
/** What a region last said of its load counts for so long. */
const LOAD_KEPT_MS = 10_000;
/** How long a region counts as one that came back. */
const BACK_KEPT_MS = 60_000;

interface Seen {
  failures: number;
  failingSince: number | null;
  wasEjected: boolean;
  backSince: number | null;
  /** It said that it had no workers. */
  workless: boolean;
  latencyMs: number | null;
  usualMs: number | null;
  waits?: { at: number; values: NonNullable<RegionProbe["waits"]> };
}

/** What one vantage remembers of its probes. */
export function createProbeBook(now: () => number) {
  const regions = new Map<string, Seen>();
  let lastRound = Number.NEGATIVE_INFINITY;

  function seen(region: string): Seen {
    const known = regions.get(region) ?? {
      failures: 0,
      failingSince: null,
      wasEjected: false,
      backSince: null,
      workless: false,
      latencyMs: null,
      usualMs: null,
    };
    regions.set(region, known);
    return known;
  }

  function answered(region: string, tookMs: number): void {
    const it = seen(region);
    if (it.wasEjected) it.backSince = now();
    it.wasEjected = false;
    it.failures = 0;
    it.failingSince = null;
    it.latencyMs = averaged(it.latencyMs, tookMs, NEWEST);
    it.usualMs = averaged(it.usualMs, tookMs, NEWEST_OF_USUAL);
  }

  function failed(region: string): void {
    const it = seen(region);
    it.failures++;
    it.failingSince ??= now();
    it.wasEjected ||= it.failures >= EJECT_AFTER;
  }

  function loaded(region: string, values: NonNullable<RegionProbe["waits"]>): void {
    const it = seen(region);
    const works = Object.values(values).some((wait) => wait !== null);
    // Its API is back before its workers are: what counts is when it can take work again.
    if (works && it.workless) it.backSince = now();
    it.workless = !works;
    it.waits = { at: now(), values };
  }

  function view(vantage: string): VantageView {
    const at = now();
    return {
      vantage,
      ageMs: at - lastRound,
      regions: Array.from(regions, ([region, it]): RegionProbe => {
        const back = it.backSince === null ? null : at - it.backSince;
        return {
          region,
          failures: it.failures,
          failingForMs: it.failingSince === null ? null : at - it.failingSince,
          backForMs: back !== null && back < BACK_KEPT_MS ? back : null,
          latencyMs: it.latencyMs,
          usualMs: it.usualMs,
          ...(it.waits && at - it.waits.at < LOAD_KEPT_MS ? { waits: it.waits.values } : {}),
        };
      }),
    };
  }

  return {
    answered,
    failed,
    loaded,
    roundEnded: () => void (lastRound = now()),
    /** Whether a region has failed that is not ejected yet. */
    isInDoubt: () =>
      Array.from(regions.values()).some(({ failures }) => failures > 0 && failures < EJECT_AFTER),
    view,
  };
}

const averaged = (average: number | null, newest: number, weight: number) =>
  average === null ? newest : average + weight * (newest - average);
