/**
 * Linear prediction by the autocorrelation method (Levinson-Durbin): writes the inverse filter
 * `1 + a[1] z^-1 + … + a[order] z^-order` into `a`, with a[0] = 1.
 *
 * @param autocorrelation order + 1 values from lag 0 on
 * @returns the energy of the prediction error; 0 for a silent frame, for which `a` is 1, 0, 0 …
 */
export function linearPrediction(autocorrelation: Float64Array, a: Float64Array): number {
  const order = a.length - 1;
  a.fill(0);
  a[0] = 1;
  let error = autocorrelation[0]!;
  if (!(error > 0)) return 0;
  for (let i = 1; i <= order; i += 1) {
    let sum = autocorrelation[i]!;
    for (let j = 1; j < i; j += 1) sum += a[j]! * autocorrelation[i - j]!;
    const reflection = -sum / error;
    a[i] = reflection;
    for (let j = 1, k = i - 1; j <= k; j += 1, k -= 1) {
      const low = a[j]!;
      const high = a[k]!;
      a[j] = low + reflection * high;
      if (j !== k) a[k] = high + reflection * low;
    }
    error *= 1 - reflection * reflection;
    if (!(error > 0)) return 0;
  }
  return error;
}
