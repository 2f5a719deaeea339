/**
 * The value below which `share` (0 … 1) of the values lie, interpolated straight between neighbours in rank.
 *
 * @param sorted values in ascending order; 0 for none
 */
export function percentile(sorted: Float32Array, share: number): number {
  if (sorted.length === 0) return 0;
  const rank = share * (sorted.length - 1);
  const low = Math.floor(rank);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low]! + (rank - low) * (sorted[high]! - sorted[low]!);
}
