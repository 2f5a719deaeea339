export interface FramesOptions {
  /** Samples of a frame. */
  size: number;
  /** Samples from the start of one frame to that of the next. */
  hop: number;
  /** The frame is `samples[offset … offset + size)`, valid during the call only. */
  onFrame: (samples: Float32Array, offset: number, index: number) => void;
}

export interface Frames {
  /** Takes the next samples of the recording, as many as there are. */
  push(block: Float32Array): void;
}

/**
 * Cuts a stream of samples into overlapping frames aligned to their left edge. The first starts with the first sample, and
 * one that the recording's end cuts short is not handed out: a recording of n samples has floor((n - size) / hop) + 1.
 */
export function createFrames({ size, hop, onFrame }: FramesOptions): Frames {
  const buffer = new Float32Array(Math.max(16_384, 4 * size));
  let filled = 0;
  let start = 0;
  let index = 0;

  function push(block: Float32Array): void {
    let taken = 0;
    while (taken < block.length) {
      if (filled === buffer.length) {
        // Everything before `start` has been handed out, and a hop never reaches past what is buffered by a whole buffer.
        const keep = Math.min(start, filled);
        buffer.copyWithin(0, keep, filled);
        filled -= keep;
        start -= keep;
      }
      const count = Math.min(block.length - taken, buffer.length - filled);
      buffer.set(block.subarray(taken, taken + count), filled);
      taken += count;
      filled += count;
      while (start + size <= filled) {
        onFrame(buffer, start, index);
        start += hop;
        index += 1;
      }
    }
  }

  return { push };
}
