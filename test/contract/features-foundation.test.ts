import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createContour } from "../../regions/speech/features/contour.ts";
import { createFrames } from "../../regions/speech/features/frames.ts";
import { createRealFft } from "../../regions/speech/features/real-fft.ts";

function noise(length: number, seed = 1): Float64Array {
  let state = seed;
  return Float64Array.from({ length }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 1_073_741_824 - 1;
  });
}

describe("the real FFT", () => {
  test.each([8, 16, 32, 64, 256, 512, 1024])("of %i samples is the direct DFT", (size) => {
    const input = noise(size + 3);
    const re = new Float64Array(size / 2 + 1);
    const im = new Float64Array(size / 2 + 1);
    createRealFft(size).forward(input, 3, undefined, re, im);
    for (let k = 0; k <= size / 2; k += 1) {
      let directRe = 0;
      let directIm = 0;
      for (let n = 0; n < size; n += 1) {
        const angle = (-2 * Math.PI * ((k * n) % size)) / size;
        directRe += input[3 + n]! * Math.cos(angle);
        directIm += input[3 + n]! * Math.sin(angle);
      }
      expect(re[k]).toBeCloseTo(directRe, 9);
      expect(im[k]).toBeCloseTo(directIm, 9);
    }
  });

  test("takes a window shorter than itself as one padded with zeros", () => {
    const window = noise(320, 2);
    const input = noise(320, 3);
    const padded = new Float64Array(512);
    for (let n = 0; n < 320; n += 1) padded[n] = input[n]! * window[n]!;
    const fft = createRealFft(512);
    const [re, im, wantedRe, wantedIm] = [0, 0, 0, 0].map(() => new Float64Array(257));
    fft.forward(input, 0, window, re!, im!);
    fft.forward(padded, 0, undefined, wantedRe!, wantedIm!);
    expect(re).toEqual(wantedRe);
    expect(im).toEqual(wantedIm);
  });

  test("refuses a size that is no power of two", () => {
    expect(() => createRealFft(960)).toThrow(RangeError);
  });
});

describe("framing", () => {
  test("gives the same frames however the recording is cut into blocks", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 40_000 }), { maxLength: 8 }),
        fc.constantFrom([320, 160], [960, 160], [100, 250]),
        (lengths, [size, hop]) => {
          const total = lengths.reduce((sum, length) => sum + length, 0);
          const whole = Float32Array.from({ length: total }, (_, n) => n);
          let count = 0;
          const frames = createFrames({
            size: size!,
            hop: hop!,
            onFrame: (samples, offset, index) => {
              expect(index).toBe(count);
              expect(samples[offset]).toBe(index * hop!);
              expect(samples[offset + size! - 1]).toBe(index * hop! + size! - 1);
              count += 1;
            },
          });
          let at = 0;
          for (const length of lengths) {
            frames.push(whole.subarray(at, at + length));
            at += length;
          }
          expect(count).toBe(total < size! ? 0 : Math.floor((total - size!) / hop!) + 1);
        },
      ),
      { numRuns: 60 },
    );
  });
});

test("a contour keeps every value while it grows", () => {
  const contour = createContour();
  for (let n = 0; n < 10_000; n += 1) contour.push(n / 2);
  expect(contour.length).toBe(10_000);
  expect([...contour.values()]).toEqual(Array.from({ length: 10_000 }, (_, n) => n / 2));
});
