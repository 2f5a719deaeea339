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
   * Fills `differences` for the next frame: both 0 where `f0Hz` is 0, or where no two periods end in it.
   *
   * @param wave the frame; only its first hop is looked at, what lies before it is remembered
   */
  measure(wave: Float32Array, f0Hz: number, differences: PeriodDifferences): void;
}

/** Periods before the end of the hop at which the first period of a voiced stretch is looked for. */
const LEAD = 3.3;

/** Share of a period before its highest sample, so that its onset belongs to it and not to the one before. */
const ONSET = 0.15;

/**
 * Jitter and shimmer by matching the waveform of each period with the next: from a place in the wave on, the lag at which
 * a stretch of one period correlates best with what follows is the length of this period, interpolated between samples by
 * a parabola, and the next period starts where it ends. The place wanders on from frame to frame through a voiced
 * stretch, so that every period is measured once, in the frame in whose first hop the next one ends; the first begins
 * shortly before its highest sample. A period that does not repeat parts those before it from those after. Allocates nothing per frame.
 *
 * Amplitude is the distance from the lowest to the highest sample. As the reference figures have it, the mean difference
 * of amplitudes is set against their mean first and turned into decibels then.
 */
export function createPeriods({
  sampleRate,
  hop,
  minHz = 55,
  range = 0.1,
  minCorrelation = 0.5,
}: PeriodsOptions): Periods {
  const longest = Math.ceil((sampleRate / minHz) * (1 + range));
  // A place is never further back than the lead, nor than the two periods that did not fit into the frame before.
  const history = Math.ceil((LEAD * sampleRate) / minHz) + 2 * longest;
  const end = history + hop;
  const samples = new Float32Array(end);
  const correlations = new Float64Array(2 * Math.ceil((range * sampleRate) / minHz) + 4);
  /** Where the next period starts; negative where there is none to go on from. */
  let place = -1;
  let lastLength = 0;
  let lastAmplitude = 0;
  /** Length of the period that was found last. */
  let length = 0;

  function measure(wave: Float32Array, f0Hz: number, differences: PeriodDifferences): void {
    samples.copyWithin(0, hop);
    samples.set(wave.subarray(0, hop), history);
    place -= hop;
    differences.jitter = 0;
    differences.shimmerDb = 0;
    if (f0Hz < minHz) {
      place = -1;
      return;
    }
    const period = sampleRate / f0Hz;
    if (place < 0) start(period);
    const first = Math.max(1, Math.round(period * (1 - range)));
    const last = Math.round(period * (1 + range));
    const size = Math.round(period);
    let pairs = 0;
    let lengths = 0;
    let amplitudes = 0;
    let lengthSteps = 0;
    let amplitudeSteps = 0;
    for (;;) {
      const from = Math.round(place);
      if (from + last + 1 + size > end) break;
      if (!match(from, size, first, last)) {
        lastLength = 0;
        place += period;
        continue;
      }
      const amplitude = peakToPeak(from, Math.round(length));
      if (lastLength > 0) {
        pairs += 1;
        lengths += (length + lastLength) / 2;
        amplitudes += (amplitude + lastAmplitude) / 2;
        lengthSteps += Math.abs(length - lastLength);
        amplitudeSteps += Math.abs(amplitude - lastAmplitude);
      }
      lastLength = length;
      lastAmplitude = amplitude;
      place += length;
    }
    if (pairs === 0 || amplitudes === 0) return;
    differences.jitter = lengthSteps / lengths;
    differences.shimmerDb = 20 * Math.log10(1 + amplitudeSteps / amplitudes);
  }

  /** Lets the first period begin a little before the highest sample of a period some periods before the end. */
  function start(period: number): void {
    const from = Math.round(end - LEAD * period);
    let highest = from;
    for (let i = from + 1; i < from + period; i += 1) {
      if (samples[i]! > samples[highest]!) highest = i;
    }
    place = highest - ONSET * period;
    lastLength = 0;
  }

  /** Sets `length` to the lag from `first` to `last` at which the wave repeats best; false where it does not. */
  function match(from: number, size: number, first: number, last: number): boolean {
    let best = first;
    for (let lag = first - 1; lag <= last + 1; lag += 1) {
      correlations[lag - first + 1] = correlate(from, from + lag, size);
    }
    for (let lag = first + 1; lag <= last; lag += 1) {
      if (correlations[lag - first + 1]! > correlations[best - first + 1]!) best = lag;
    }
    const at = best - first + 1;
    const peak = correlations[at]!;
    if (!(peak >= minCorrelation)) return false;
    const before = correlations[at - 1]!;
    const after = correlations[at + 1]!;
    const bend = before - 2 * peak + after;
    // At the edge of the range the parabola's top may lie anywhere.
    const offset =
      bend < 0 && before <= peak && after <= peak ? (0.5 * (before - after)) / bend : 0;
    length = best + offset;
    return true;
  }

  /** Cosine of the angle between two stretches of the wave; 0 where one is silent. */
  function correlate(a: number, b: number, size: number): number {
    let product = 0;
    let powerA = 0;
    let powerB = 0;
    for (let i = 0; i < size; i += 1) {
      const left = samples[a + i]!;
      const right = samples[b + i]!;
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
