/** Logarithm of the sum of e to the power of each value; -Infinity for none. */
export function logSumExp(values: Float32Array, from = 0, to = values.length): number {
  const peak = highest(values, from, to);
  if (peak === -Infinity) return peak;
  let sum = 0;
  for (let i = from; i < to; i += 1) sum += Math.exp(values[i]! - peak);
  return peak + Math.log(sum);
}

export function highest(values: Float32Array, from: number, to: number): number {
  let best = -Infinity;
  for (let i = from; i < to; i += 1) if (values[i]! > best) best = values[i]!;
  return best;
}

/** The token with the highest logit; the first of several. */
export function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i += 1) if (logits[i]! > logits[best]!) best = i;
  return best;
}

/** The logits at one position, which lie one behind the other. The same memory. */
export function rowOf(logits: Float32Array, position: number, vocabulary: number): Float32Array {
  return logits.subarray(position * vocabulary, (position + 1) * vocabulary);
}
