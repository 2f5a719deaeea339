/** One descriptor's value for each frame, in order. */
export interface Contour {
  readonly length: number;
  push(value: number): void;
  /** The value of one frame, which must be there. */
  at(index: number): number;
  /** A copy of the values so far. */
  values(): Float32Array;
}

/** Values of a part, a power of two. */
const PART = 4096;

/** A contour that grows as the recording does, by parts: growing a single array would hold both the old and the new one. */
export function createContour(): Contour {
  const parts: Float32Array[] = [];
  let last = new Float32Array(0);
  let length = 0;
  return {
    get length() {
      return length;
    },
    push(value) {
      const at = length % PART;
      if (at === 0) {
        last = new Float32Array(PART);
        parts.push(last);
      }
      last[at] = value;
      length += 1;
    },
    at: (index) => parts[Math.floor(index / PART)]![index % PART]!,
    values() {
      const all = new Float32Array(length);
      for (const [i, part] of parts.entries()) {
        all.set(part.subarray(0, Math.min(PART, length - i * PART)), i * PART);
      }
      return all;
    },
  };
}
