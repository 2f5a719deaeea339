/** Hamming window, 0.54 - 0.46 cos(2 pi n / (size - 1)). */
export function hammingWindow(size: number): Float64Array {
  return Float64Array.from(
    { length: size },
    (_, n) => 0.54 - 0.46 * Math.cos((2 * Math.PI * n) / (size - 1)),
  );
}

/** Gaussian window; `sigma` is its standard deviation in halves of the window's length. */
export function gaussianWindow(size: number, sigma: number): Float64Array {
  const middle = (size - 1) / 2;
  return Float64Array.from({ length: size }, (_, n) => {
    const distance = (n - middle) / (sigma * middle);
    return Math.exp(-0.5 * distance * distance);
  });
}
