import type { FeatureEvaluation } from "./evaluate-features.ts";

/** Features listed at the end, the worst first. */
const WORST = 10;

/** Prints an evaluation: a table, or with `json` one line that a program can read. */
export function printFeatures({ clips, features }: FeatureEvaluation, json: boolean): void {
  const agree = features.filter(({ comparison }) => comparison.agrees).length;
  if (json) {
    const worst = features
      .toSorted((a, b) => badness(b.comparison) - badness(a.comparison))
      .slice(0, WORST)
      .map(({ name, comparison: { r, error } }) => ({
        name,
        r: Number.isFinite(r) ? round(r) : null,
        error: Number.isFinite(error) ? round(error) : null,
      }));
    console.log(JSON.stringify({ eval: "features", clips, agree, of: features.length, worst }));
    return;
  }
  console.log(`${"feature".padEnd(46)} ${"r".padStart(7)} ${"error".padStart(9)}`);
  for (const { name, comparison } of features) {
    const { r, error, agrees } = comparison;
    console.log(
      `${name.padEnd(46)} ${r.toFixed(4).padStart(7)} ${`${(100 * error).toFixed(2)} %`.padStart(9)}${agrees ? "" : "  <-"}`,
    );
  }
  console.log(
    `\n${agree} of ${features.length} agree over ${clips} clips: r at least 0.95 and median of |ours - reference| / |reference| at most 10 %`,
  );
}

/** How far from agreement, in units of what is allowed. */
function badness({ r, error }: { r: number; error: number }): number {
  const missing = Number.isFinite(r) ? (1 - r) / 0.05 : 100;
  return Math.max(missing, Number.isFinite(error) ? error / 0.1 : 100);
}

function round(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
