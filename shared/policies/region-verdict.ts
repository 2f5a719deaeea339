/**
 * What one vantage point has seen of a region. A vantage is a prober somewhere on the planet; times are ages by its own clock, so
 * that views of several can be put side by side.
 */
export interface RegionProbe {
  region: string;
  /** Failed probes since the last that succeeded. */
  failures: number;
  /** How long it has failed without a break; null while it answers. */
  failingForMs: number | null;
  /** How long ago it answered again after it had been ejected; null when it never was. */
  backForMs: number | null;
  /** Moving average of the round trip; null before the first answer. */
  latencyMs: number | null;
  /** What the round trip usually is. */
  usualMs: number | null;
  /** Seconds a job of each class would wait; null values without workers. Absent where this vantage does not ask. */
  waits?: Readonly<Record<"interactive" | "standard" | "batch", number | null>>;
}

export interface VantageView {
  vantage: string;
  /** How long ago it probed last. */
  ageMs: number;
  regions: readonly RegionProbe[];
}

/** A vantage that has not probed for so long says nothing of now. */
export const VIEW_TRUSTED_MS = 6_000;
/** Failures in a row by which one vantage ejects a region; two vantages eject with one each. */
export const EJECT_AFTER = 2;
/** A region that two vantages have seen failing for so long is declared lost. */
export const LOST_AFTER_MS = 20_000;
const VANTAGES_TO_DECLARE = 2;

/** Views that can be believed: fresh, and of a vantage that reaches anything at all. One that reaches nothing is itself cut off. */
export function trustedViews(views: readonly VantageView[]): VantageView[] {
  return views.filter(
    ({ ageMs, regions }) =>
      ageMs <= VIEW_TRUSTED_MS && (regions.length < 2 || regions.some((r) => r.failures === 0)),
  );
}

/** Whether requests should pass a region over; undefined when nobody can tell. `views` are trusted ones. */
export function isEjected(views: readonly VantageView[], regionId: string): boolean | undefined {
  const seen = probesOf(views, regionId);
  if (seen.length === 0) return undefined;
  return (
    seen.some(({ failures }) => failures >= EJECT_AFTER) ||
    seen.filter(({ failures }) => failures > 0).length >= VANTAGES_TO_DECLARE
  );
}

/** Whether a region's jobs may be taken to be lost with it: seen failing long enough from two places. `views` are trusted ones. */
export function isLost(views: readonly VantageView[], regionId: string): boolean {
  const lost = probesOf(views, regionId).filter(
    ({ failingForMs }) => failingForMs !== null && failingForMs >= LOST_AFTER_MS,
  );
  return lost.length >= VANTAGES_TO_DECLARE;
}

/** A region that takes several times as long as it usually does, and more than a moment longer. */
export function isSlow({
  latencyMs,
  usualMs,
}: Pick<RegionProbe, "latencyMs" | "usualMs">): boolean {
  return latencyMs !== null && usualMs !== null && latencyMs > 3 * usualMs + 250;
}

export const probesOf = (views: readonly VantageView[], regionId: string): RegionProbe[] =>
  views.flatMap(({ regions }) => regions.filter(({ region }) => region === regionId));
