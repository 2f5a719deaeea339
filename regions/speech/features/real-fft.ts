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
 * radix 4, with a first pass of radix 8 where the size asks for it. Tables are made once; a transform allocates nothing.
 *
 * @param size a power of two, 8 or more
 */
export function createRealFft(size: number): RealFft {
  if (size < 8 || (size & (size - 1)) !== 0) {
    throw new RangeError(`FFT size ${size} is not a power of two of 8 or more.`);
  }
  const half = size / 2;
  // A power of four leaves 1 when divided by 3, twice one leaves 2.
  const first = half % 3 === 1 ? 4 : 8;
  const order = digitReversal(half, first);
  const stages = twiddles(half, first);
  const splitCos = new Float64Array(half / 2 + 1);
  const splitSin = new Float64Array(half / 2 + 1);
  for (let k = 0; k <= half / 2; k += 1) {
    splitCos[k] = Math.cos((2 * Math.PI * k) / size);
    splitSin[k] = -Math.sin((2 * Math.PI * k) / size);
  }
  /** The input times its window, padded with zeros. */
  const samples = new Float64Array(size);

  function forward(
    input: Float32Array | Float64Array,
    offset: number,
    window: Float64Array | undefined,
    re: Float64Array,
    im: Float64Array,
  ): void {
    const length = window === undefined ? size : window.length;
    if (window === undefined) {
      for (let i = 0; i < length; i += 1) samples[i] = input[offset + i]!;
    } else {
      for (let i = 0; i < length; i += 1) samples[i] = input[offset + i]! * window[i]!;
    }
    samples.fill(0, length);
    if (first === 4) firstOfFour(samples, order, re, im, half);
    else firstOfEight(samples, order, re, im, half);
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

function twiddles(half: number, first: number): Stage[] {
  const stages: Stage[] = [];
  for (let quarter = first; quarter < half; quarter *= 4) {
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
function digitReversal(half: number, first: number): Uint32Array {
  const order = new Uint32Array(half);
  const place = (to: number, from: number, step: number, length: number): void => {
    if (length === 1) {
      order[to] = 2 * from;
      return;
    }
    const radix = length === first ? first : 4;
    const part = length / radix;
    for (let r = 0; r < radix; r += 1) place(to + r * part, from + r * step, step * radix, part);
  };
  place(0, 0, 1, half);
  return order;
}

/** Fetches the samples in their order and joins them four at a time, where all factors are 1, i, -1 and -i. */
function firstOfFour(
  samples: Float64Array,
  order: Uint32Array,
  re: Float64Array,
  im: Float64Array,
  half: number,
): void {
  for (let i = 0; i < half; i += 4) {
    const a = order[i]!;
    const b = order[i + 1]!;
    const c = order[i + 2]!;
    const d = order[i + 3]!;
    const sumRe = samples[a]! + samples[c]!;
    const sumIm = samples[a + 1]! + samples[c + 1]!;
    const differenceRe = samples[a]! - samples[c]!;
    const differenceIm = samples[a + 1]! - samples[c + 1]!;
    const oddRe = samples[b]! + samples[d]!;
    const oddIm = samples[b + 1]! + samples[d + 1]!;
    const turnedRe = samples[b + 1]! - samples[d + 1]!;
    const turnedIm = samples[d]! - samples[b]!;
    re[i] = sumRe + oddRe;
    im[i] = sumIm + oddIm;
    re[i + 1] = differenceRe + turnedRe;
    im[i + 1] = differenceIm + turnedIm;
    re[i + 2] = sumRe - oddRe;
    im[i + 2] = sumIm - oddIm;
    re[i + 3] = differenceRe - turnedRe;
    im[i + 3] = differenceIm - turnedIm;
  }
}

/** As `firstOfFour`, eight at a time: the even four and the odd four, joined by eighths of a turn. */
function firstOfEight(
  samples: Float64Array,
  order: Uint32Array,
  re: Float64Array,
  im: Float64Array,
  half: number,
): void {
  const diagonal = Math.SQRT1_2;
  for (let i = 0; i < half; i += 8) {
    const s0 = order[i]!;
    const s1 = order[i + 1]!;
    const s2 = order[i + 2]!;
    const s3 = order[i + 3]!;
    const s4 = order[i + 4]!;
    const s5 = order[i + 5]!;
    const s6 = order[i + 6]!;
    const s7 = order[i + 7]!;
    // The four even ones.
    let sumRe = samples[s0]! + samples[s4]!;
    let sumIm = samples[s0 + 1]! + samples[s4 + 1]!;
    let differenceRe = samples[s0]! - samples[s4]!;
    let differenceIm = samples[s0 + 1]! - samples[s4 + 1]!;
    let oddRe = samples[s2]! + samples[s6]!;
    let oddIm = samples[s2 + 1]! + samples[s6 + 1]!;
    let turnedRe = samples[s2 + 1]! - samples[s6 + 1]!;
    let turnedIm = samples[s6]! - samples[s2]!;
    const e0Re = sumRe + oddRe;
    const e0Im = sumIm + oddIm;
    const e1Re = differenceRe + turnedRe;
    const e1Im = differenceIm + turnedIm;
    const e2Re = sumRe - oddRe;
    const e2Im = sumIm - oddIm;
    const e3Re = differenceRe - turnedRe;
    const e3Im = differenceIm - turnedIm;
    // The four odd ones.
    sumRe = samples[s1]! + samples[s5]!;
    sumIm = samples[s1 + 1]! + samples[s5 + 1]!;
    differenceRe = samples[s1]! - samples[s5]!;
    differenceIm = samples[s1 + 1]! - samples[s5 + 1]!;
    oddRe = samples[s3]! + samples[s7]!;
    oddIm = samples[s3 + 1]! + samples[s7 + 1]!;
    turnedRe = samples[s3 + 1]! - samples[s7 + 1]!;
    turnedIm = samples[s7]! - samples[s3]!;
    const o0Re = sumRe + oddRe;
    const o0Im = sumIm + oddIm;
    const p1Re = differenceRe + turnedRe;
    const p1Im = differenceIm + turnedIm;
    const o1Re = diagonal * (p1Re + p1Im);
    const o1Im = diagonal * (p1Im - p1Re);
    const o2Re = sumIm - oddIm;
    const o2Im = oddRe - sumRe;
    const p3Re = differenceRe - turnedRe;
    const p3Im = differenceIm - turnedIm;
    const o3Re = diagonal * (p3Im - p3Re);
    const o3Im = -diagonal * (p3Re + p3Im);
    re[i] = e0Re + o0Re;
    im[i] = e0Im + o0Im;
    re[i + 1] = e1Re + o1Re;
    im[i + 1] = e1Im + o1Im;
    re[i + 2] = e2Re + o2Re;
    im[i + 2] = e2Im + o2Im;
    re[i + 3] = e3Re + o3Re;
    im[i + 3] = e3Im + o3Im;
    re[i + 4] = e0Re - o0Re;
    im[i + 4] = e0Im - o0Im;
    re[i + 5] = e1Re - o1Re;
    im[i + 5] = e1Im - o1Im;
    re[i + 6] = e2Re - o2Re;
    im[i + 6] = e2Im - o2Im;
    re[i + 7] = e3Re - o3Re;
    im[i + 7] = e3Im - o3Im;
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
