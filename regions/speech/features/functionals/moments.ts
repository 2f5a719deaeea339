export interface Moments {
  mean: number;
  /** Coefficient of variation: population standard deviation over the (signed) mean. */
  stddevNorm: number;
}

/** Both 0 for no values; the coefficient of variation is 0 too where the mean is. */
export function moments(values: ArrayLike<number>): Moments {
  const mean = meanOf(values);
  return { mean, stddevNorm: mean === 0 ? 0 : deviationOf(values, mean) / mean };
}

export function meanOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) sum += values[i]!;
  return values.length === 0 ? 0 : sum / values.length;
}

/** Root of the mean squared distance from `centre`; 0 for no values. */
export function deviationOf(values: ArrayLike<number>, centre: number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) sum += (values[i]! - centre) ** 2;
  return values.length === 0 ? 0 : Math.sqrt(sum / values.length);
}
