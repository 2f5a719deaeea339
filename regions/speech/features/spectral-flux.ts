/**
 * Change of the magnitude spectrum from the frame before: root of the mean squared difference over the bins 0 … bins - 1.
 * The first frame has none before it and gets 0.
 */
export function createSpectralFlux(bins: number): { of(power: Float64Array): number } {
  const before = new Float64Array(bins);
  let isFirst = true;
  return {
    of(power) {
      let sum = 0;
      for (let bin = 0; bin < bins; bin += 1) {
        const magnitude = Math.sqrt(power[bin]!);
        const change = magnitude - before[bin]!;
        before[bin] = magnitude;
        sum += change * change;
      }
      if (isFirst) {
        isFirst = false;
        return 0;
      }
      return Math.sqrt(sum / bins);
    },
  };
}
