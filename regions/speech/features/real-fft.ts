/** A discrete Fourier transform of real input of one fixed size. */
export interface RealFft {
  readonly size: number;
  /**
   * Transforms `size` samples of `input` from `offset` on, each multiplied by `window` (same length) when given.
   * Writes the bins 0 … size / 2 (size / 2 + 1 values each) into `re` and `im`. `input` is left as it was.
   */
  forward(
    input: Float32Array | Float64Array,
    offset: number,
    window: Float64Array | undefined,
    re: Float64Array,
    im: Float64Array,
  ): void;
}

/**
 * Makes a real transform from a complex one of half the size: even samples as real, odd ones as imaginary parts, then one
 * pass that takes both spectra apart (Press et al., Numerical Recipes, 12.3). The complex one is decimation in time,
 * radix 4 with one radix 2 pass where the size asks for it. Tables are made once; a transform allocates nothing.
 *
 * @param size a power of two, 8 or more
 */
export function createRealFft(size: number): RealFft {
  if (size < 8 || (size & (size - 1)) !== 0) {
    throw new RangeError(`FFT size ${size} is not a power of two of 8 or more.`);
  }
  const half = size / 2;
  const order = digitReversal(half);
  const firstIsRadix2 = Math.log2(half) % 2 === 1;
  const stages = twiddles(half, firstIsRadix2);
  const splitCos = new Float64Array(half / 2 + 1);
  const splitSin = new Float64Array(half / 2 + 1);
  for (let k = 0; k <= half / 2; k += 1) {
    splitCos[k] = Math.cos((2 * Math.PI * k) / size);
    splitSin[k] = -Math.sin((2 * Math.PI * k) / size);
  }

  function forward(
    input: Float32Array | Float64Array,
    offset: number,
    window: Float64Array | undefined,
    re: Float64Array,
    im: Float64Array,
  ): void {
    if (window === undefined) {
      for (let i = 0; i < half; i += 1) {
        const from = order[i]!;
        re[i] = input[offset + from]!;
        im[i] = input[offset + from + 1]!;
      }
    } else {
      // A window shorter than the transform stands for one padded with zeros.
      const length = window.length;
      for (let i = 0; i < half; i += 1) {
        const from = order[i]!;
        re[i] = from < length ? input[offset + from]! * window[from]! : 0;
        im[i] = from + 1 < length ? input[offset + from + 1]! * window[from + 1]! : 0;
      }
    }
    if (firstIsRadix2) radix2Pass(re, im, half);
    for (const stage of stages) radix4Pass(re, im, half, stage);
    split(re, im, half, splitCos, splitSin);
  }

  return { size, forward };
}

interface Stage {
  /** Length of the transforms that this pass joins, four at a time. */
  readonly quarter: number;
  /** cos and sin of the three factors of each butterfly: 6 values each. */
  readonly factors: Float64Array;
}

function twiddles(half: number, firstIsRadix2: boolean): Stage[] {
  const stages: Stage[] = [];
  for (let quarter = firstIsRadix2 ? 2 : 1; quarter < half; quarter *= 4) {
    const factors = new Float64Array(6 * quarter);
    for (let k = 0; k < quarter; k += 1) {
      for (let power = 1; power <= 3; power += 1) {
        const angle = (-2 * Math.PI * k * power) / (4 * quarter);
        factors[6 * k + 2 * (power - 1)] = Math.cos(angle);
        factors[6 * k + 2 * (power - 1) + 1] = Math.sin(angle);
      }
    }
    stages.push({ quarter, factors });
  }
  return stages;
}

/** Where each element of the mixed-radix decimation comes from, doubled: the index of its real sample. */
function digitReversal(half: number): Uint16Array | Uint32Array {
  const order = half > 32_768 ? new Uint32Array(half) : new Uint16Array(half);
  const place = (to: number, from: number, step: number, length: number): void => {
    if (length === 1) {
      order[to] = 2 * from;
      return;
    }
    const radix = length === 2 ? 2 : 4;
    const part = length / radix;
    for (let r = 0; r < radix; r += 1) place(to + r * part, from + r * step, step * radix, part);
  };
  place(0, 0, 1, half);
  return order;
}

function radix2Pass(re: Float64Array, im: Float64Array, half: number): void {
  for (let i = 0; i < half; i += 2) {
    const aRe = re[i]!;
    const aIm = im[i]!;
    const bRe = re[i + 1]!;
    const bIm = im[i + 1]!;
    re[i] = aRe + bRe;
    im[i] = aIm + bIm;
    re[i + 1] = aRe - bRe;
    im[i + 1] = aIm - bIm;
  }
}

function radix4Pass(
  re: Float64Array,
  im: Float64Array,
  half: number,
  { quarter, factors }: Stage,
): void {
  for (let start = 0; start < half; start += 4 * quarter) {
    for (let k = 0, f = 0; k < quarter; k += 1, f += 6) {
      const i0 = start + k;
      const i1 = i0 + quarter;
      const i2 = i1 + quarter;
      const i3 = i2 + quarter;
      const bRe = re[i1]! * factors[f]! - im[i1]! * factors[f + 1]!;
      const bIm = re[i1]! * factors[f + 1]! + im[i1]! * factors[f]!;
      const cRe = re[i2]! * factors[f + 2]! - im[i2]! * factors[f + 3]!;
      const cIm = re[i2]! * factors[f + 3]! + im[i2]! * factors[f + 2]!;
      const dRe = re[i3]! * factors[f + 4]! - im[i3]! * factors[f + 5]!;
      const dIm = re[i3]! * factors[f + 5]! + im[i3]! * factors[f + 4]!;
      const sumRe = re[i0]! + cRe;
      const sumIm = im[i0]! + cIm;
      const differenceRe = re[i0]! - cRe;
      const differenceIm = im[i0]! - cIm;
      const oddRe = bRe + dRe;
      const oddIm = bIm + dIm;
      const turnedRe = bIm - dIm;
      const turnedIm = dRe - bRe;
      re[i0] = sumRe + oddRe;
      im[i0] = sumIm + oddIm;
      re[i1] = differenceRe + turnedRe;
      im[i1] = differenceIm + turnedIm;
      re[i2] = sumRe - oddRe;
      im[i2] = sumIm - oddIm;
      re[i3] = differenceRe - turnedRe;
      im[i3] = differenceIm - turnedIm;
    }
  }
}

/** Takes the spectra of even and odd samples apart and joins them to the one of the real signal, in place. */
function split(
  re: Float64Array,
  im: Float64Array,
  half: number,
  cos: Float64Array,
  sin: Float64Array,
): void {
  const dc = re[0]!;
  const alternating = im[0]!;
  re[0] = dc + alternating;
  im[0] = 0;
  re[half] = dc - alternating;
  im[half] = 0;
  for (let k = 1, j = half - 1; k <= j; k += 1, j -= 1) {
    const evenRe = (re[k]! + re[j]!) / 2;
    const evenIm = (im[k]! - im[j]!) / 2;
    const oddRe = (im[k]! + im[j]!) / 2;
    const oddIm = (re[j]! - re[k]!) / 2;
    const turnedRe = oddRe * cos[k]! - oddIm * sin[k]!;
    const turnedIm = oddRe * sin[k]! + oddIm * cos[k]!;
    re[k] = evenRe + turnedRe;
    im[k] = evenIm + turnedIm;
    re[j] = evenRe - turnedRe;
    im[j] = turnedIm - evenIm;
  }
}
