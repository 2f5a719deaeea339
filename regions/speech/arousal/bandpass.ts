/**
 * A Butterworth high-pass and low-pass of second order each, one after the other (12 dB per octave on both sides;
 * bilinear transform).
 *
 * @returns a function from each sample to the next filtered one
 */
export function createBandpass(
  lowHz: number,
  highHz: number,
  sampleRate: number,
): (sample: number) => number {
  const high = createSection("high-pass", lowHz, sampleRate);
  const low = createSection("low-pass", highHz, sampleRate);
  return (sample) => low(high(sample));
}

function createSection(
  kind: "high-pass" | "low-pass",
  cornerHz: number,
  sampleRate: number,
): (sample: number) => number {
  const k = Math.tan((Math.PI * cornerHz) / sampleRate);
  const norm = 1 / (1 + Math.SQRT2 * k + k * k);
  const b0 = kind === "low-pass" ? k * k * norm : norm;
  const b1 = kind === "low-pass" ? 2 * b0 : -2 * b0;
  const a1 = 2 * (k * k - 1) * norm;
  const a2 = (1 - Math.SQRT2 * k + k * k) * norm;
  let z1 = 0;
  let z2 = 0;
  return (sample) => {
    const output = b0 * sample + z1;
    z1 = b1 * sample - a1 * output + z2;
    z2 = b0 * sample - a2 * output;
    return output;
  };
}
