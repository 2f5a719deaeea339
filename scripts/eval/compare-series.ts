/** How well a feature agrees with its reference over the clips. */
export interface Comparison {
  /** Pearson's correlation; NaN where either series does not vary. */
  r: number;
  /** Median over the clips of |ours - reference| / |reference|; a reference of 0 is met (0) or missed (infinite). */
  error: number;
  agrees: boolean;
}

const LEAST_CORRELATION = 0.95;
const LARGEST_ERROR = 0.1;

export function compareSeries(ours: readonly number[], reference: readonly number[]): Comparison {
  const r = correlation(ours, reference);
  const error = median(ours.map((value, i) => relativeError(value, reference[i]!)));
  return { r, error, agrees: r >= LEAST_CORRELATION && error <= LARGEST_ERROR };
}

function relativeError(value: number, reference: number): number {
  if (value === reference) return 0;
  return Math.abs(value - reference) / Math.abs(reference);
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const meanA = mean(a);
  const meanB = mean(b);
  let ab = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < a.length; i += 1) {
    ab += (a[i]! - meanA) * (b[i]! - meanB);
    aa += (a[i]! - meanA) ** 2;
    bb += (b[i]! - meanB) ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  return (sorted[Math.floor(half)]! + sorted[Math.ceil(half) - 1]!) / 2;
}
