import type { WitnessCommit } from "./witness.ts";

/** The time in which one region's server committed on one timeline, from the first commit's sending to the last one's answer. */
export interface Reign {
  region: string;
  timeline: number;
  fromMs: number;
  untilMs: number;
  commits: number;
}

/** By when they began. */
export function reignsOf(commits: readonly WitnessCommit[]): Reign[] {
  const reigns = new Map<string, Reign>();
  for (const { region, timeline, sentMs, answeredMs } of commits) {
    const name = `${region} ${timeline}`;
    const known = reigns.get(name);
    if (known === undefined) {
      reigns.set(name, { region, timeline, fromMs: sentMs, untilMs: answeredMs, commits: 1 });
      continue;
    }
    known.fromMs = Math.min(known.fromMs, sentMs);
    known.untilMs = Math.max(known.untilMs, answeredMs);
    known.commits += 1;
  }
  return [...reigns.values()].toSorted((a, b) => a.fromMs - b.fromMs);
}

/**
 * For how long two servers were the primary: from when the later one was first asked for a commit that it made until the earlier one
 * answered its last. One that had stopped and committed again counts from the start, for all that time it could have.
 */
export function twoPrimariesMs(reigns: readonly Reign[]): number {
  const overlaps = reigns.flatMap((one, index) =>
    reigns.slice(index + 1).flatMap((other): [number, number][] => {
      const from = Math.max(one.fromMs, other.fromMs);
      const until = Math.min(one.untilMs, other.untilMs);
      return one.region !== other.region && until > from ? [[from, until]] : [];
    }),
  );
  let total = 0;
  let counted = Number.NEGATIVE_INFINITY;
  for (const [from, until] of overlaps.toSorted(([a], [b]) => a - b)) {
    total += Math.max(0, until - Math.max(from, counted));
    counted = Math.max(counted, until);
  }
  return total;
}

/** Who stopped when, and who wrote next, as text; nothing where one server was the primary all along. `faultMs` is zero. */
export function tellReigns(reigns: readonly Reign[], faultMs: number): string[] {
  const at = (ms: number) => `${((ms - faultMs) / 1000).toFixed(1)} s`;
  return reigns.slice(1).map((next, index) => {
    const before = reigns[index]!;
    const gap = next.fromMs - before.untilMs;
    const between =
      gap > 0
        ? `${(gap / 1000).toFixed(1)} s without a primary`
        : `**two primaries for ${(-gap / 1000).toFixed(1)} s**`;
    return `${before.region}'s Postgres took its last write at ${at(before.untilMs)} (timeline ${before.timeline}), ${next.region}'s its first at ${at(next.fromMs)} (timeline ${next.timeline}): ${between}`;
  });
}
