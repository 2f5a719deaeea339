import { describe, expect, test } from "vitest";
import { createEgemaps } from "../../../regions/speech/features/egemaps.ts";
import type { EgemapsResult } from "../../../regions/speech/features/egemaps.ts";
import { noise, RATE, silence } from "./synthesise.ts";

interface Vowel {
  name: string;
  /** Resonances below 5 kHz, Hz. */
  hz: readonly number[];
}

/** Formants of men's vowels after Peterson and Barney 1952, F4 and F5 as of a vocal tract of 17.5 cm. */
const vowels: readonly Vowel[] = [
  { name: "neutral", hz: [500, 1500, 2500, 3500, 4500] },
  { name: "father", hz: [730, 1090, 2440, 3400, 4500] },
  { name: "heed", hz: [270, 2290, 3010, 3700, 4500] },
  { name: "had", hz: [660, 1720, 2410, 3500, 4500] },
];
const widths = [60, 90, 120, 150, 200];

/** A pulse train that falls by 6 dB an octave, as voices do after the lips, through resonances in cascade. */
function vowel(hz: readonly number[], pitchHz: number, seconds = 1): Float32Array {
  const samples = new Float64Array(seconds * RATE);
  for (let at = 0; at < samples.length; at += RATE / pitchHz) samples[Math.floor(at)] = 1;
  for (let i = 1; i < samples.length; i += 1) samples[i] = samples[i]! + 0.97 * samples[i - 1]!;
  hz.forEach((centre, at) => {
    const radius = Math.exp((-Math.PI * widths[at]!) / RATE);
    const a1 = 2 * radius * Math.cos((2 * Math.PI * centre) / RATE);
    const a2 = -radius * radius;
    for (let i = 0; i < samples.length; i += 1) {
      const [before = 0, beforeThat = 0] = [samples[i - 1], samples[i - 2]];
      samples[i] = (1 - a1 - a2) * samples[i]! + a1 * before + a2 * beforeThat;
    }
  });
  const peak = samples.reduce((top, sample) => Math.max(top, Math.abs(sample)), 0);
  return Float32Array.from(samples, (sample) => (0.5 * sample) / peak);
}

function measure(samples: Float32Array): EgemapsResult {
  const egemaps = createEgemaps();
  egemaps.push(samples);
  return egemaps.finish();
}

const featuresOf = (samples: Float32Array): Record<string, number> => measure(samples).features;

describe.each(vowels)("of the vowel in $name", ({ hz }) => {
  const { formants } = measure(vowel(hz, 101));

  test.each([1, 2, 3])("F%i lies where it was made, within half a harmonic", (formant) => {
    const found = formants[formant - 1]!.frequencyHz;
    expect(Math.abs(found - hz[formant - 1]!)).toBeLessThan(51);
  });

  test.each([1, 2, 3])("F%i is narrow, as it was made", (formant) => {
    const found = formants[formant - 1]!.bandwidthHz;
    expect(found).toBeGreaterThan(20);
    expect(found).toBeLessThan(260);
  });
});

test("a formant's amplitude tells how strong its harmonics are beside the fundamental", () => {
  const near = featuresOf(vowel([500, 1500, 2500, 3500, 4500], 101));
  const dull = featuresOf(vowel([300, 800, 2500, 3500, 4500], 101));
  // Low resonances leave the third one far down on their slope.
  expect(dull["F3amplitudeLogRelF0_sma3nz_amean"]).toBeLessThan(
    near["F3amplitudeLogRelF0_sma3nz_amean"]! - 6,
  );
  expect(dull["logRelF0-H1-A3_sma3nz_amean"]).toBeGreaterThan(
    near["logRelF0-H1-A3_sma3nz_amean"]! + 6,
  );
});

test("frames without a voice count as -201 dB in the mean of a formant's amplitude", () => {
  const half = new Float32Array(2 * RATE);
  half.set(vowel([500, 1500, 2500, 3500, 4500], 101));
  const all = featuresOf(vowel([500, 1500, 2500, 3500, 4500], 101));
  const mean = featuresOf(half)["F1amplitudeLogRelF0_sma3nz_amean"]!;
  const expected = (all["F1amplitudeLogRelF0_sma3nz_amean"]! - 201) / 2;
  expect(Math.abs(mean - expected)).toBeLessThan(8);
});

test.each([
  ["silence", silence(0.5)],
  ["noise", noise(0.5)],
])("%s gives numbers, and no formant where nothing is voiced", (_, samples) => {
  const { features, formants } = measure(samples);
  expect(formants).toEqual([]);
  for (const formant of [1, 2, 3]) {
    expect(features[`F${formant}frequency_sma3nz_amean`]).toBe(0);
    expect(features[`F${formant}bandwidth_sma3nz_amean`]).toBe(0);
    expect(features[`F${formant}amplitudeLogRelF0_sma3nz_amean`]).toBe(-201);
  }
});
