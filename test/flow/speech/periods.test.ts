import { describe, expect, test } from "vitest";
import { createPeriods } from "../../../regions/speech/features/pitch/periods.ts";
import { noise, RATE, silence } from "./synthesise.ts";

const HOP = 160;
const FRAME = 960;

interface Pulse {
  /** Samples from this pulse to the next. */
  length: number;
  amplitude: number;
}

/** One second of damped resonances that ring from each pulse on; pulses lie between samples. */
function train(pulseAt: (index: number) => Pulse): Float32Array {
  const samples = new Float32Array(RATE);
  for (let index = 0, at = 0; at < RATE; index += 1) {
    const { length, amplitude } = pulseAt(index);
    for (let i = Math.ceil(at); i < Math.min(RATE, at + 4 * length); i += 1) {
      const t_s = (i - at) / RATE;
      const ring =
        Math.exp(-1200 * t_s) * Math.sin(2 * Math.PI * 600 * t_s) +
        0.5 * Math.exp(-1500 * t_s) * Math.sin(2 * Math.PI * 1500 * t_s);
      samples[i] = samples[i]! + 0.3 * amplitude * ring;
    }
    at += length;
  }
  return samples;
}

/** Means over the frames that have a value. */
function measure(samples: Float32Array, f0Hz: number): { jitter: number; shimmerDb: number } {
  const periods = createPeriods({ sampleRate: RATE, hop: HOP });
  const differences = { jitter: 0, shimmerDb: 0 };
  const all: { jitter: number; shimmerDb: number }[] = [];
  for (let at = 0; at + FRAME <= samples.length; at += HOP) {
    periods.measure(samples.subarray(at, at + FRAME), f0Hz, differences);
    if (differences.jitter + differences.shimmerDb > 0) all.push({ ...differences });
  }
  const mean = (key: "jitter" | "shimmerDb") =>
    all.reduce((sum, one) => sum + one[key], 0) / Math.max(1, all.length);
  return { jitter: mean("jitter"), shimmerDb: mean("shimmerDb") };
}

const pitches = [[80], [120.3], [210.7], [333]] as const;

describe("periods of a pulse train", () => {
  test.each(pitches)("that is steady at %d Hz do not differ", (hz) => {
    const { jitter, shimmerDb } = measure(
      train(() => ({ length: RATE / hz, amplitude: 1 })),
      hz,
    );
    expect(jitter).toBeLessThan(0.001);
    // Pulses lie between samples, and so do their peaks.
    expect(shimmerDb).toBeLessThan(0.25);
  });

  test.each(pitches.flatMap(([hz]) => [0.01, 0.03, 0.06].map((jitter) => [hz, jitter] as const)))(
    "at %d Hz show the jitter that was set, %d, within a tenth",
    (hz, jitter) => {
      const samples = train((index) => ({
        length: (RATE / hz) * (1 + (index % 2 === 0 ? jitter / 2 : -jitter / 2)),
        amplitude: 1,
      }));
      const measured = measure(samples, hz).jitter;
      expect(measured).toBeGreaterThan(0.9 * jitter);
      expect(measured).toBeLessThan(1.1 * jitter);
    },
  );

  test.each(pitches.flatMap(([hz]) => [0.5, 1, 3].map((shimmerDb) => [hz, shimmerDb] as const)))(
    "at %d Hz show the shimmer that was set, %d dB, within 0.2 dB",
    (hz, shimmerDb) => {
      const share = (10 ** (shimmerDb / 20) - 1) / 2;
      const samples = train((index) => ({
        length: RATE / hz,
        amplitude: 1 + (index % 2 === 0 ? share : -share),
      }));
      const measured = measure(samples, hz);
      expect(Math.abs(measured.shimmerDb - shimmerDb)).toBeLessThan(0.2);
      expect(measured.jitter).toBeLessThan(0.003);
    },
  );

  test("show neither where the frame has no pitch, nor in silence, nor in noise that does not repeat", () => {
    expect(measure(noise(1), 0)).toEqual({ jitter: 0, shimmerDb: 0 });
    expect(measure(silence(1), 150)).toEqual({ jitter: 0, shimmerDb: 0 });
    expect(measure(noise(1), 60)).toEqual({ jitter: 0, shimmerDb: 0 });
  });
});
