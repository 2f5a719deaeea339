import type { Decoder } from "../../../regions/speech/decode/decoder.ts";

/** The outline of a waveform: lowest and highest sample of each step, full scale 1.0. */
export interface Waveform {
  stepS: number;
  low: Float32Array;
  high: Float32Array;
}

const SAMPLE_RATE = 16_000;
/** Samples of the finest step, 1 ms. */
const FINEST = 16;

/**
 * Decodes a file and keeps its outline in between `steps` and twice as many steps, fewer where it is short: whenever
 * there are too many, neighbours are joined, so memory does not grow with the recording.
 * @throws what the decoder throws
 */
export async function measureWaveform(
  decoder: Decoder,
  path: string,
  { steps = 1000, signal }: { steps?: number; signal?: AbortSignal } = {},
): Promise<Waveform> {
  const low = new Float32Array(2 * steps);
  const high = new Float32Array(2 * steps);
  let size = FINEST;
  let count = 0;
  let held = 0;
  for await (const block of decoder.decode(path, signal === undefined ? {} : { signal })) {
    for (const sample of block) {
      if (held === 0 && count === low.length) {
        join(low, Math.min);
        join(high, Math.max);
        count /= 2;
        size *= 2;
      }
      low[count] = held === 0 ? sample : Math.min(low[count]!, sample);
      high[count] = held === 0 ? sample : Math.max(high[count]!, sample);
      held += 1;
      if (held === size) {
        held = 0;
        count += 1;
      }
    }
  }
  const used = count + (held > 0 ? 1 : 0);
  return { stepS: size / SAMPLE_RATE, low: low.subarray(0, used), high: high.subarray(0, used) };
}

/** Joins neighbours in place, into the first half. */
function join(values: Float32Array, pick: (a: number, b: number) => number): void {
  for (let i = 0; i < values.length / 2; i += 1) {
    values[i] = pick(values[2 * i]!, values[2 * i + 1]!);
  }
}
