/** Samples of a frame, 25 ms at 16 kHz. Not a power of two, so the transform of the features does not do. */
export const FRAME = 400;

const HALF = FRAME / 2;
/** HALF as a product of what has a butterfly below. */
const RADICES = [4, 5, 5, 2] as const;

/**
 * Power spectrum of 400 real samples: 201 bins from 0 to 8 kHz.
 *
 * Even and odd samples make one complex signal of 200, whose transform is taken apart afterwards (Press et al., Numerical
 * Recipes, 12.3). That transform is Stockham's, decimating in frequency by 4, 5, 5 and 2: it sorts itself and needs no
 * bit reversal. Tables are made once; a transform allocates nothing.
 */
export function createFrameFft(): (samples: Float64Array, power: Float64Array) => void {
  const cos = Float64Array.from({ length: FRAME }, (_, i) => Math.cos((2 * Math.PI * i) / FRAME));
  const sin = Float64Array.from({ length: FRAME }, (_, i) => -Math.sin((2 * Math.PI * i) / FRAME));
  let re = new Float64Array(HALF);
  let im = new Float64Array(HALF);
  let toRe = new Float64Array(HALF);
  let toIm = new Float64Array(HALF);
  const partRe = new Float64Array(5);
  const partIm = new Float64Array(5);

  /** One pass: transforms of `length` at `stride` become `radix` times as many of a `radix`-th of the length. */
  function pass(radix: number, length: number, stride: number): void {
    const part = length / radix;
    for (let q = 0; q < part; q += 1) {
      for (let k = 0; k < stride; k += 1) {
        for (let j = 0; j < radix; j += 1) {
          partRe[j] = re[k + stride * (q + part * j)]!;
          partIm[j] = im[k + stride * (q + part * j)]!;
        }
        for (let r = 0; r < radix; r += 1) {
          let sumRe = partRe[0]!;
          let sumIm = partIm[0]!;
          for (let j = 1; j < radix; j += 1) {
            const turn = ((j * r) % radix) * (FRAME / radix);
            const c = cos[turn]!;
            const s = sin[turn]!;
            sumRe += partRe[j]! * c - partIm[j]! * s;
            sumIm += partRe[j]! * s + partIm[j]! * c;
          }
          const turn = q * r * (FRAME / length);
          const to = k + stride * (radix * q + r);
          toRe[to] = sumRe * cos[turn]! - sumIm * sin[turn]!;
          toIm[to] = sumRe * sin[turn]! + sumIm * cos[turn]!;
        }
      }
    }
    [re, toRe] = [toRe, re];
    [im, toIm] = [toIm, im];
  }

  return (samples, power) => {
    for (let i = 0; i < HALF; i += 1) {
      re[i] = samples[2 * i]!;
      im[i] = samples[2 * i + 1]!;
    }
    let length = HALF;
    let stride = 1;
    for (const radix of RADICES) {
      pass(radix, length, stride);
      length /= radix;
      stride *= radix;
    }
    for (let k = 0; k <= HALF; k += 1) {
      const a = k % HALF;
      const b = (HALF - k) % HALF;
      const evenRe = (re[a]! + re[b]!) / 2;
      const evenIm = (im[a]! - im[b]!) / 2;
      const oddRe = (im[a]! + im[b]!) / 2;
      const oddIm = (re[b]! - re[a]!) / 2;
      const binRe = evenRe + oddRe * cos[k]! - oddIm * sin[k]!;
      const binIm = evenIm + oddRe * sin[k]! + oddIm * cos[k]!;
      power[k] = binRe * binRe + binIm * binIm;
    }
  };
}
