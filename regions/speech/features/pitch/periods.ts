/** How successive periods of the voice differ. */
export interface PeriodDifferences {
  /** Mean difference of the lengths of successive periods over the mean length. */
  jitter: number;
  /** Mean difference of the amplitudes of successive periods relative to the mean amplitude, dB. */
  shimmerDb: number;
}

export interface PeriodsOptions {
  sampleRate: number;
  /** Samples from the start of one frame to that of the next. */
  hop: number;
  /** Lowest fundamental that is measured. */
  minHz?: number;
  /** Share of the period by which a period may differ from the fundamental's. */
  range?: number;
  /** Correlation of one period with the next below which the wave does not repeat. */
  minCorrelation?: number;
}

export interface Periods {
  /**
   * Fills `differences` for the next frame: both 0 where `f0Hz` is 0, and each 0 where no period has another to be
   * compared with.
   *
   * @param wave from the frame's first sample on, at least 1.2 of the longest periods and four samples
   */
  measure(wave: Float32Array, f0Hz: number, differences: PeriodDifferences): void;
}

/**
 * Jitter and shimmer by matching the waveform of each period with the next: the length of a period is the lag at which
 * a stretch as long as the lag correlates best with the one that follows, interpolated between samples by a parabola, and
 * the next period starts where it ends. The first starts with the first frame of a voiced stretch; the place wanders on
 * from frame to frame, so that every period is measured once, in the first frame that starts after a fundamental's period
 * from its start. Allocates nothing per frame.
 *
 * A period that does not repeat is passed over: the one after it is compared with the one before. Shimmer compares the
 * two stretches that were matched, by the distance from the lowest to the highest sample; the mean difference of
 * amplitudes is set against their mean first and turned into decibels then. Where the published definitions leave these
 * things open, they were found from the reference figures, as were the limits of correlation.
 */
export function createPeriods({
  sampleRate,
  hop,
  minHz = 55,
  range = 0.1,
  minCorrelation = 0.3,
}: PeriodsOptions): Periods {
  const longest = Math.ceil((sampleRate / minHz) * (1 + range));
  // A place is never further back than the period that did not fit into the frame before.
  const history = longest + hop + 1;
  // The last period that is matched ends before the frame, and at the longest lag the next one ends so far into it.
  const ahead = Math.ceil((sampleRate / minHz) * (1 + 2 * range)) + 4;
  const samples = new Float32Array(history + ahead);
  const correlations = new Float64Array(2 * Math.ceil((range * sampleRate) / minHz) + 4);
  /** Where the next period starts; negative where there is none to go on from. */
  let place = -1;
  /** Length of the last period that was found, 0 where none was since the voice set in. */
  let lastLength = 0;
  /** What `match` found: the lag in samples, and between them. */
  let lag = 0;
  let length = 0;

  function measure(wave: Float32Array, f0Hz: number, differences: PeriodDifferences): void {
    samples.copyWithin(0, hop, history + hop);
    samples.set(wave.subarray(0, ahead), history);
    place -= hop;
    differences.jitter = 0;
    differences.shimmerDb = 0;
    if (f0Hz < minHz) {
      place = -1;
      return;
    }
    if (place < 0) {
      place = history;
      lastLength = 0;
    }
    const period = sampleRate / f0Hz;
    let found = 0;
    let lengths = 0;
    let lengthSteps = 0;
    let pairs = 0;
    let amplitudes = 0;
    let amplitudeSteps = 0;
    while (place + period <= history) {
      const from = Math.round(place);
      if (!match(from, period)) {
        place += period;
        continue;
      }
      const amplitude = peakToPeak(from, lag);
      const nextAmplitude = peakToPeak(from + lag, lag);
      amplitudes += (amplitude + nextAmplitude) / 2;
      amplitudeSteps += Math.abs(amplitude - nextAmplitude);
      found += 1;
      lengths += length;
      if (lastLength > 0) {
        pairs += 1;
        lengthSteps += Math.abs(length - lastLength);
      }
      lastLength = length;
      place += length;
    }
    if (pairs > 0) differences.jitter = lengthSteps / pairs / (lengths / found);
    if (amplitudes > 0) differences.shimmerDb = 20 * Math.log10(1 + amplitudeSteps / amplitudes);
  }

  /**
   * Finds the lag within the range around `period` at which the wave from `from` on repeats best; false where it does
   * not. A correlation that still rises at the edge of the range is no repetition.
   */
  function match(from: number, period: number): boolean {
    const first = Math.ceil(period * (1 - range));
    const last = Math.floor(period * (1 + range));
    for (let at = first - 1; at <= last + 1; at += 1) {
      correlations[at - first + 1] = correlate(from, at);
    }
    let best = -1;
    for (let at = 1; at <= last - first + 1; at += 1) {
      const here = correlations[at]!;
      const isPeak = here > correlations[at - 1]! && here >= correlations[at + 1]!;
      if (isPeak && (best < 0 || here > correlations[best]!)) best = at;
    }
    if (best < 0) return false;
    const peak = correlations[best]!;
    if (peak < minCorrelation) return false;
    const before = correlations[best - 1]!;
    const after = correlations[best + 1]!;
    lag = best + first - 1;
    length = lag + (0.5 * (before - after)) / (before - 2 * peak + after);
    return true;
  }

  /** Cosine of the angle between `size` samples and as many that follow them; 0 where either are silent. */
  function correlate(from: number, size: number): number {
    let product = 0;
    let powerA = 0;
    let powerB = 0;
    for (let i = from; i < from + size; i += 1) {
      const left = samples[i]!;
      const right = samples[i + size]!;
      product += left * right;
      powerA += left * left;
      powerB += right * right;
    }
    return product === 0 ? 0 : product / Math.sqrt(powerA * powerB);
  }

  function peakToPeak(from: number, size: number): number {
    let lowest = Infinity;
    let highest = -Infinity;
    for (let i = from; i < from + size; i += 1) {
      const sample = samples[i]!;
      if (sample < lowest) lowest = sample;
      if (sample > highest) highest = sample;
    }
    return highest - lowest;
  }

  return { measure };
}
