/**
 * Adds a formant to lists that hold the `kept` lowest so far, ascending in frequency and never longer than they are.
 * @returns how many they hold now
 */
export function keepLowest(
  frequencies: Float64Array,
  bandwidths: Float64Array,
  kept: number,
  hz: number,
  width: number,
): number {
  let at = Math.min(kept, frequencies.length);
  if (at === frequencies.length && hz >= frequencies[at - 1]!) return at;
  if (at === frequencies.length) at -= 1;
  while (at > 0 && frequencies[at - 1]! > hz) {
    frequencies[at] = frequencies[at - 1]!;
    bandwidths[at] = bandwidths[at - 1]!;
    at -= 1;
  }
  frequencies[at] = hz;
  bandwidths[at] = width;
  return Math.min(kept + 1, frequencies.length);
}
