export interface Median {
  push(value: number): void;
  /** 0 for no values. */
  value(): number;
}

/**
 * The median of values from 0 to `limit` (higher ones count as that) to within `step`: it keeps counts, not the values, so
 * it is as small after hours as after seconds.
 */
export function createMedian({ limit, step }: { limit: number; step: number }): Median {
  const counts = new Uint32Array(Math.ceil(limit / step) + 1);
  let total = 0;
  return {
    push(value) {
      const at = Math.min(Math.floor(value / step), counts.length - 1);
      counts[at] = counts[at]! + 1;
      total += 1;
    },
    value() {
      if (total === 0) return 0;
      let at = 0;
      for (let seen = counts[0]!; 2 * seen < total; at += 1) seen += counts[at + 1]!;
      return (at + 0.5) * step;
    },
  };
}
