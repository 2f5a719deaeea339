import type { LevelMeasure } from "./level-measure.ts";

export type SampleArray = Uint8Array | Int16Array | Int32Array | Float32Array | Float64Array;

/** One channel's samples inside a typed array: `(array[offset + i * stride] - bias) * scale` is in [-1, 1]. */
export interface ChannelView {
  samples: SampleArray;
  offset: number;
  stride: number;
  count: number;
  bias: number;
  scale: number;
  /** Magnitude from which a sample counts as clipped. */
  clipAt: number;
}

const SILENCE_PEAK = 10 ** (-60 / 20);

/** A streaming level meter: `push` each channel's next samples, then `result` once. */
export function createLevelMeter() {
  const sums: number[] = [];
  const counts: number[] = [];
  const runs: number[] = [];
  let squares = 0;
  let peak = 0;
  let clipped = 0;
  let longestRun = 0;

  /** Returns false when a sample was NaN or infinite. */
  function push(channel: number, view: ChannelView): boolean {
    const { samples, stride, count, bias, scale, clipAt } = view;
    let sum = 0;
    let energy = 0;
    let run = runs[channel] ?? 0;
    for (let i = 0, at = view.offset; i < count; i += 1, at += stride) {
      const value = ((samples[at] ?? Number.NaN) - bias) * scale;
      const magnitude = value < 0 ? -value : value;
      sum += value;
      energy += value * value;
      if (magnitude > peak) peak = magnitude;
      if (magnitude >= clipAt) {
        clipped += 1;
        run += 1;
        if (run > longestRun) longestRun = run;
      } else {
        run = 0;
      }
    }
    runs[channel] = run;
    sums[channel] = (sums[channel] ?? 0) + sum;
    counts[channel] = (counts[channel] ?? 0) + count;
    squares += energy;
    return Number.isFinite(energy);
  }

  function result(): LevelMeasure {
    const total = counts.reduce((all, count) => all + count, 0);
    const means = sums.map((sum, channel) => sum / Math.max(1, counts[channel] ?? 0));
    return {
      rms_dbfs: toDecibels(Math.sqrt(squares / Math.max(1, total))),
      peak_dbfs: toDecibels(peak),
      silent: peak < SILENCE_PEAK,
      clipping: {
        clipped_samples: clipped,
        clipped_ratio: clipped / Math.max(1, total),
        longest_run: longestRun,
      },
      dc_offset: means.reduce(
        (worst, mean) => (Math.abs(mean) > Math.abs(worst) ? mean : worst),
        0,
      ),
    };
  }

  return { push, result, peak: () => peak };
}

function toDecibels(amplitude: number): number | null {
  return amplitude > 0 ? 20 * Math.log10(amplitude) : null;
}
