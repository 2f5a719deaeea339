const MAX_STEPS = 60;
const TINY = 1e-14;

export interface RootFinder {
  /**
   * Finds the roots of the real polynomial `c[0] z^n + c[1] z^(n-1) + … + c[n]`, c[0] other than 0.
   * Of each conjugate pair only the root with positive imaginary part is given, and real roots with imaginary part 0.
   * @returns how many were written into `re` and `im`
   */
  find(coefficients: Float64Array, re: Float64Array, im: Float64Array): number;
}

/**
 * Roots by Laguerre's method with deflation by real factors (Press et al., Numerical Recipes, 9.5), in real arithmetic
 * throughout; nothing is allocated per call.
 */
export function createRootFinder(degree: number): RootFinder {
  const c = new Float64Array(degree + 1);

  function find(coefficients: Float64Array, re: Float64Array, im: Float64Array): number {
    c.set(coefficients.subarray(0, degree + 1));
    let n = degree;
    let count = 0;
    while (n > 0) {
      let x = 0;
      let y = 0;
      if (n === 1) {
        x = -c[1]! / c[0]!;
      } else if (n === 2) {
        const half = -c[1]! / (2 * c[0]!);
        const square = half * half - c[2]! / c[0]!;
        if (square >= 0) {
          // Two real ones: the larger first, the other by the product, which loses no digits.
          x = half + Math.sign(half || 1) * Math.sqrt(square);
          re[count] = x;
          im[count] = 0;
          count += 1;
          re[count] = x === 0 ? 0 : c[2]! / c[0]! / x;
          im[count] = 0;
          return count + 1;
        }
        x = half;
        y = Math.sqrt(-square);
      } else {
        [x, y] = laguerre(n);
      }
      if (Math.abs(y) <= 1e-9 * Math.abs(x)) y = 0;
      re[count] = x;
      im[count] = Math.abs(y);
      count += 1;
      if (y === 0) {
        for (let i = 1; i < n; i += 1) c[i] = c[i]! + x * c[i - 1]!;
        n -= 1;
      } else {
        const p = 2 * x;
        const q = -(x * x + y * y);
        c[1] = c[1]! + p * c[0]!;
        for (let i = 2; i < n - 1; i += 1) c[i] = c[i]! + p * c[i - 1]! + q * c[i - 2]!;
        n -= 2;
      }
    }
    return count;
  }

  const root: [number, number] = [0, 0];

  function laguerre(n: number): [number, number] {
    let x = 0.1;
    let y = 0.5;
    for (let step = 1; step <= MAX_STEPS; step += 1) {
      // Horner for the value and its first and (half the) second derivative at x + iy.
      let bRe = c[0]!;
      let bIm = 0;
      let dRe = 0;
      let dIm = 0;
      let fRe = 0;
      let fIm = 0;
      for (let i = 1; i <= n; i += 1) {
        const f = x * fRe - y * fIm + dRe;
        fIm = x * fIm + y * fRe + dIm;
        fRe = f;
        const d = x * dRe - y * dIm + bRe;
        dIm = x * dIm + y * dRe + bIm;
        dRe = d;
        const b = x * bRe - y * bIm + c[i]!;
        bIm = x * bIm + y * bRe;
        bRe = b;
      }
      const value = bRe * bRe + bIm * bIm;
      if (value < TINY * TINY) break;
      const gRe = (dRe * bRe + dIm * bIm) / value;
      const gIm = (dIm * bRe - dRe * bIm) / value;
      const hRe = gRe * gRe - gIm * gIm - (2 * (fRe * bRe + fIm * bIm)) / value;
      const hIm = 2 * gRe * gIm - (2 * (fIm * bRe - fRe * bIm)) / value;
      // The square root of (n - 1) (n h - g g).
      const sRe = (n - 1) * (n * hRe - (gRe * gRe - gIm * gIm));
      const sIm = (n - 1) * (n * hIm - 2 * gRe * gIm);
      const length = Math.hypot(sRe, sIm);
      let rRe = Math.sqrt(Math.max(0, (length + sRe) / 2));
      let rIm = Math.sqrt(Math.max(0, (length - sRe) / 2));
      if (sIm < 0) rIm = -rIm;
      if (gRe * rRe + gIm * rIm < 0) {
        rRe = -rRe;
        rIm = -rIm;
      }
      const wRe = gRe + rRe;
      const wIm = gIm + rIm;
      const divisor = wRe * wRe + wIm * wIm;
      if (divisor === 0) {
        // Flat spot: set out from somewhere else.
        x += 0.3;
        y += 0.2;
        continue;
      }
      // Every tenth step goes only part of the way, which ends the rare cycles.
      const part = step % 10 === 0 ? 0.6 : 1;
      const moveRe = (part * n * wRe) / divisor;
      const moveIm = (-part * n * wIm) / divisor;
      x -= moveRe;
      y -= moveIm;
      if (moveRe * moveRe + moveIm * moveIm < TINY * TINY * (x * x + y * y)) break;
      if (moveRe * moveRe + moveIm * moveIm < 1e-20 * (x * x + y * y)) break;
    }
    root[0] = x;
    root[1] = y;
    return root;
  }

  return { find };
}
