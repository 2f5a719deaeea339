import { describe, expect, test } from "vitest";
import { createEgemaps } from "../../../regions/speech/features/egemaps.ts";
import { voicingSegments } from "../../../regions/speech/features/functionals/voicing-segments.ts";
import { concat, noise, RATE, scaled, silence, sine, voice } from "./synthesise.ts";

/** Seconds from the start of a frame to its middle. */
const HALF_FRAME_S = 0.03;

function trackOf(samples: Float32Array): Float32Array {
  const egemaps = createEgemaps();
  egemaps.push(samples);
  return egemaps.finish().tracks.f0_hz;
}

/** Semitones from `hz` to `expected`. */
function distance(hz: number, expected: number): number {
  return Math.abs(12 * Math.log2(hz / expected));
}

describe("fundamental frequency", () => {
  test.each([[110], [150], [233], [440], [700]])("of a sine at %d Hz is found", (hz) => {
    const track = trackOf(sine(1, hz));
    for (const found of track) expect(distance(found, hz)).toBeLessThan(0.5);
  });

  test.each([[80], [120], [210], [330]])("of a voice at %d Hz is found", (hz) => {
    const track = trackOf(voice(1, { hz }));
    for (const found of track) expect(distance(found, hz)).toBeLessThan(0.5);
  });

  test("of a voice that glides from 100 to 300 Hz is followed", () => {
    const seconds = 2;
    const at = (t_s: number) => 100 * 3 ** (t_s / seconds);
    const samples = new Float32Array(seconds * RATE);
    for (let i = 0, phase = 0; i < samples.length; i += 1) {
      phase += (2 * Math.PI * at(i / RATE)) / RATE;
      for (let h = 1; h <= 10; h += 1) {
        samples[i] = samples[i]! + (0.1 / h) * Math.sin(h * phase);
      }
    }
    trackOf(samples).forEach((found, i) => {
      expect(distance(found, at(i * 0.01 + HALF_FRAME_S))).toBeLessThan(0.5);
    });
  });

  test("is none in noise and in silence", () => {
    const unvoiced = trackOf(noise(2)).filter((hz) => hz === 0).length;
    expect(unvoiced / trackOf(noise(2)).length).toBeGreaterThan(0.95);
    expect(trackOf(silence(1)).every((hz) => hz === 0)).toBe(true);
  });

  test("is none where a voice is too quiet to be one, and is there up to that point", () => {
    const loud = voice(0.5);
    const track = trackOf(concat(loud, scaled(voice(0.5), 0.001), loud));
    // Frames that lie in one part wholly.
    expect(track.slice(0, 44).every((hz) => hz > 0)).toBe(true);
    expect(track.slice(51, 94).every((hz) => hz === 0)).toBe(true);
    expect(track.slice(101).every((hz) => hz > 0)).toBe(true);
  });
});

describe("voiced segments", () => {
  /** A contour of runs: voiced frames by their number, unvoiced ones by its negative. */
  function segmentsOf(...runs: readonly number[]) {
    return voicingSegments(
      Float32Array.from(
        runs.flatMap((run) => Array.from({ length: Math.abs(run) }, () => (run > 0 ? 30 : 0))),
      ),
      0.01,
    );
  }

  test("reach from their first frame to their last", () => {
    const segments = segmentsOf(-10, 21, -20, 11, -38);
    expect(segments.voicedPerSecond).toBeCloseTo(2, 9);
    expect(segments.meanVoicedLength).toBeCloseTo(0.15, 9);
    expect(segments.stddevVoicedLength).toBeCloseTo(0.05, 9);
    expect(segments.meanUnvoicedLength).toBeCloseTo((0.09 + 0.19 + 0.37) / 3, 9);
  });

  test("go on over a gap of one frame, and end at one of two", () => {
    expect(segmentsOf(-10, 20, -1, 20, -49).voicedPerSecond).toBeCloseTo(1, 9);
    expect(segmentsOf(-10, 20, -1, 20, -49).meanVoicedLength).toBeCloseTo(0.4, 9);
    expect(segmentsOf(-10, 20, -2, 20, -48).voicedPerSecond).toBeCloseTo(2, 9);
  });

  test("are none of fewer than three frames", () => {
    expect(segmentsOf(-10, 2, -10, 3, -75).voicedPerSecond).toBeCloseTo(1, 9);
    expect(segmentsOf(-100)).toMatchObject({ voicedPerSecond: 0, meanVoicedLength: 0 });
  });
});
