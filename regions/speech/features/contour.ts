/** One descriptor's value for each frame, in order. */
export interface Contour {
  readonly length: number;
  push(value: number): void;
  /** The value of one frame, which must be there. */
  at(index: number): number;
  /** The values so far: a view that the next `push` may outdate. */
  values(): Float32Array;
}

/** A contour that grows as the recording does. */
export function createContour(capacity = 4096): Contour {
  let data = new Float32Array(capacity);
  let length = 0;
  return {
    get length() {
      return length;
    },
    push(value) {
      if (length === data.length) {
        const grown = new Float32Array(Math.max(16, Math.ceil(data.length * 1.5)));
        grown.set(data);
        data = grown;
      }
      data[length] = value;
      length += 1;
    },
    at: (index) => data[index]!,
    values: () => data.subarray(0, length),
  };
}
