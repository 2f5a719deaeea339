/** A magnitude spectrum on an octave axis, prepared for subharmonic summation. */
export interface OctaveSpectrum {
  /** Number of points on the axis; the first lies at `lowestHz`, the last at half the sample rate. */
  readonly points: number;
  readonly lowestHz: number;
  readonly octavesPerPoint: number;
  /** @returns the spectrum of one frame: a buffer that the next call overwrites */
  compute(magnitude: Float64Array): Float64Array;
}

/**
 * Keeps of a magnitude spectrum what lies near its peaks, smooths it, and carries it to an octave axis by a cubic spline,
 * weighted by an arctangent in octaves for the ear's loss of sensitivity to low tones (Hermes, "Measurement of pitch by
 * subharmonic summation", JASA 83(1), 1988, section II). The spline runs through the bins as they lie on the octave axis.
 *
 * @param bins half the FFT's size plus one
 */
export function createOctaveSpectrum(
  bins: number,
  sampleRate: number,
  { lowestHz = 25, points = bins, earHz = 31.85, earSlope = 3 } = {},
): OctaveSpectrum {
  const binHz = sampleRate / 2 / (bins - 1);
  const octavesPerPoint = Math.log2(sampleRate / 2 / lowestHz) / (points - 1);
  const spline = createSpline(bins, points, (point) => {
    const hz = Math.min(lowestHz * 2 ** (point * octavesPerPoint), sampleRate / 2);
    return { at: Math.log2(hz / binHz), gain: ear(hz, earHz, earSlope) };
  });
  const peaks = new Float64Array(bins);
  const smooth = new Float64Array(bins);
  const output = new Float64Array(points);

  function compute(magnitude: Float64Array): Float64Array {
    keepPeaks(magnitude, peaks);
    smoothHann(peaks, smooth);
    spline(smooth, output);
    return output;
  }

  return { points, lowestHz, octavesPerPoint, compute };
}

/** Sensitivity from 0 to 1, one half at `middleHz`. */
function ear(hz: number, middleHz: number, slope: number): number {
  return 0.5 + Math.atan(slope * Math.log2(hz / middleHz)) / Math.PI;
}

/** Sets to zero what is more than two bins away from a local maximum. */
function keepPeaks(magnitude: Float64Array, kept: Float64Array): void {
  const last = magnitude.length - 1;
  kept.fill(0);
  let done = -1;
  for (let k = 1; k < last; k += 1) {
    if (magnitude[k]! <= magnitude[k - 1]! || magnitude[k]! < magnitude[k + 1]!) continue;
    const to = Math.min(k + 2, last);
    for (let i = Math.max(k - 2, done + 1); i <= to; i += 1) kept[i] = magnitude[i]!;
    done = to;
  }
}

/** Weighs each bin and its neighbours by 1/4, 1/2, 1/4. */
function smoothHann(values: Float64Array, smooth: Float64Array): void {
  const last = values.length - 1;
  smooth[0] = values[0]! / 2 + values[1]! / 4;
  for (let k = 1; k < last; k += 1) {
    smooth[k] = values[k]! / 2 + (values[k - 1]! + values[k + 1]!) / 4;
  }
  smooth[last] = values[last]! / 2 + values[last - 1]! / 4;
}

/**
 * A natural cubic spline through the bins from 1 on at their places log2(k), read at fixed points, each with a gain;
 * negative overshoots become 0. The tridiagonal system is factorised once.
 */
function createSpline(
  bins: number,
  points: number,
  pointAt: (point: number) => { at: number; gain: number },
): (values: Float64Array, output: Float64Array) => void {
  const knots = bins - 1;
  const place = Float64Array.from({ length: knots }, (_, k) => Math.log2(k + 1));
  const step = Float64Array.from({ length: knots - 1 }, (_, k) => place[k + 1]! - place[k]!);
  // Forward elimination for the second derivatives: row k is step[k-1], 2 (step[k-1] + step[k]), step[k].
  const upper = new Float64Array(knots);
  const pivot = new Float64Array(knots);
  for (let k = 1; k < knots - 1; k += 1) {
    const scale = 1 / (2 * (step[k - 1]! + step[k]!) - step[k - 1]! * upper[k - 1]!);
    pivot[k] = scale;
    upper[k] = step[k]! * scale;
  }
  const cell = new Uint16Array(points);
  const factors = new Float64Array(4 * points);
  for (let point = 0; point < points; point += 1) {
    const { at, gain } = pointAt(point);
    let low = Math.min(Math.max(Math.floor(2 ** at) - 1, 0), knots - 2);
    while (low > 0 && place[low]! > at) low -= 1;
    while (low < knots - 2 && place[low + 1]! < at) low += 1;
    const width = step[low]!;
    const right = (at - place[low]!) / width;
    const left = 1 - right;
    cell[point] = low;
    factors[4 * point] = gain * left;
    factors[4 * point + 1] = gain * right;
    factors[4 * point + 2] = (gain * (left ** 3 - left) * width * width) / 6;
    factors[4 * point + 3] = (gain * (right ** 3 - right) * width * width) / 6;
  }
  const second = new Float64Array(knots);
  const slopeScale = Float64Array.from(step, (width) => 6 / width);

  return (values, output) => {
    let slope = (values[2]! - values[1]!) * slopeScale[0]!;
    for (let k = 1; k < knots - 1; k += 1) {
      const next = (values[k + 2]! - values[k + 1]!) * slopeScale[k]!;
      second[k] = (next - slope - step[k - 1]! * second[k - 1]!) * pivot[k]!;
      slope = next;
    }
    for (let k = knots - 2; k > 0; k -= 1) second[k] = second[k]! - upper[k]! * second[k + 1]!;
    for (let point = 0; point < points; point += 1) {
      const low = cell[point]!;
      const f = 4 * point;
      const value =
        factors[f]! * values[low + 1]! +
        factors[f + 1]! * values[low + 2]! +
        factors[f + 2]! * second[low]! +
        factors[f + 3]! * second[low + 1]!;
      output[point] = value > 0 ? value : 0;
    }
  };
}
