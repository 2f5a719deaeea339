import { BLOCK_SAMPLES } from "./sample-format.ts";

/** Gives room for a block of so many samples, in memory that threads can share. */
export type MakeBlock = (samples: number) => Float32Array<SharedArrayBuffer>;

/**
 * Room for blocks, which is used again after `reuseAfter` more of them, or never. Used again, a recording of any length
 * takes the same memory; left to the garbage collectors of every thread that saw it, a block may stay for minutes.
 */
export function createBlocks(reuseAfter = Infinity): MakeBlock {
  const ring: SharedArrayBuffer[] = [];
  let next = 0;
  return (samples) => {
    if (reuseAfter === Infinity) return new Float32Array(new SharedArrayBuffer(samples * 4));
    const at = next % (reuseAfter + 1);
    next += 1;
    ring[at] ??= new SharedArrayBuffer(BLOCK_SAMPLES * 4);
    return new Float32Array(ring[at], 0, samples);
  };
}
