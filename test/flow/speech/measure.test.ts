import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkDeclaredType } from "../../../regions/speech/decode/check-declared-type.ts";
import { createLevelMeter } from "../../../regions/speech/levels/create-level-meter.ts";
import {
  defaultSegmentOptions,
  segmentSpeech,
} from "../../../regions/speech/voice-activity/segment-speech.ts";

const W = defaultSegmentOptions.windowS;
const run = (length: number, probability: number) => Array.from({ length }, () => probability);

describe("speech segments", () => {
  test("are ordered, apart and inside the recording, whatever the probabilities", () => {
    const probability = fc.oneof(
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.constantFrom(0, 0.35, 0.5, 1),
    );
    fc.assert(
      fc.property(
        fc.array(probability, { maxLength: 400 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (all, cut) => {
          const duration = Math.max(0, all.length - cut) * W;
          let end = 0;
          for (const segment of segmentSpeech(all, duration)) {
            expect(segment.start_s).toBeGreaterThanOrEqual(end);
            expect(segment.end_s).toBeGreaterThan(segment.start_s);
            expect(segment.end_s - segment.start_s).toBeGreaterThanOrEqual(
              defaultSegmentOptions.minSpeechS - 0.002,
            );
            end = segment.end_s;
          }
          expect(end).toBeLessThanOrEqual(duration);
        },
      ),
    );
  });

  test("cover every window of sure speech that lasts", () => {
    const [segment, ...others] = segmentSpeech(
      [...run(10, 0), ...run(20, 0.9), ...run(10, 0)],
      40 * W,
    );
    expect(others).toEqual([]);
    expect(segment?.start_s).toBeCloseTo(10 * W - 0.03, 3);
    expect(segment?.end_s).toBeCloseTo(30 * W + 0.03, 3);
  });

  test("go on through a doubtful stretch and a short pause, and end with a long one", () => {
    const speech = run(20, 0.9);
    expect(segmentSpeech([...speech, ...run(30, 0.4), ...speech], 70 * W)).toHaveLength(1);
    expect(segmentSpeech([...speech, ...run(3, 0), ...speech], 43 * W)).toHaveLength(1);
    expect(segmentSpeech([...speech, ...run(4, 0), ...speech], 44 * W)).toHaveLength(2);
  });

  test("leave out a click", () => {
    expect(segmentSpeech([...run(10, 0), ...run(7, 0.9), ...run(10, 0)], 27 * W)).toEqual([]);
  });
});

describe("a level meter", () => {
  const view = (samples: Float32Array) => ({
    samples,
    offset: 0,
    stride: 1,
    count: samples.length,
    bias: 0,
    scale: 1,
    clipAt: 0.9999,
  });

  test("reads a full-scale sine as 0 dBFS peak and -3.01 dBFS RMS", () => {
    const meter = createLevelMeter();
    meter.push(
      0,
      view(Float32Array.from({ length: 16_000 }, (_, i) => Math.sin((2 * Math.PI * i) / 64))),
    );
    const { rms_dbfs, peak_dbfs, dc_offset, silent } = meter.result();
    expect(rms_dbfs).toBeCloseTo(-3.01, 2);
    expect(peak_dbfs).toBeCloseTo(0, 5);
    expect(dc_offset).toBeCloseTo(0, 6);
    expect(silent).toBe(false);
  });

  test("counts a run of clipped samples across pushes, in its own channel", () => {
    const meter = createLevelMeter();
    meter.push(0, view(Float32Array.of(0, 1, 1)));
    meter.push(1, view(Float32Array.of(0, 0, -1)));
    meter.push(0, view(Float32Array.of(1, 1, 0)));
    meter.push(1, view(Float32Array.of(0, 0, 0)));
    expect(meter.result().clipping).toEqual({
      clipped_samples: 5,
      clipped_ratio: 5 / 12,
      longest_run: 4,
    });
  });

  test("tells the offset of the worst channel and notices what is no number", () => {
    const meter = createLevelMeter();
    expect(meter.push(0, view(Float32Array.of(0.5, 0.5)))).toBe(true);
    expect(meter.push(1, view(Float32Array.of(-0.6, -0.6)))).toBe(true);
    expect(meter.result().dc_offset).toBeCloseTo(-0.6, 6);
    expect(meter.push(0, view(Float32Array.of(Number.NaN)))).toBe(false);
    expect(meter.push(0, view(Float32Array.of(Number.POSITIVE_INFINITY)))).toBe(false);
  });
});

describe("a declared content type", () => {
  const header = (container: "wav" | "mp3" | "mp4" | "ogg" | "webm" | "flac", codec = "x") => ({
    container,
    codec,
    sample_rate_hz: 16_000,
    channels: 1,
    has_video: false,
    expected_duration_s: null,
  });

  test.each([
    ["audio/wave", header("wav")],
    ["Audio/X-WAV; codecs=1", header("wav")],
    ["audio/mp3", header("mp3")],
    ["audio/x-m4a", header("mp4")],
    ["video/mp4", header("mp4")],
    ["video/webm", header("webm")],
    ["audio/opus", header("ogg", "opus")],
    ["application/ogg", header("ogg", "vorbis")],
    ["application/octet-stream", header("flac")],
    [undefined, header("flac")],
  ])("%s fits", (declared, actual) => {
    expect(() => checkDeclaredType(declared, actual)).not.toThrow();
  });

  test.each([
    ["audio/wav", header("mp3")],
    ["audio/mpeg", header("flac")],
    ["audio/opus", header("ogg", "vorbis")],
    ["image/png", header("wav")],
  ])("%s contradicts", (declared, actual) => {
    expect(() => checkDeclaredType(declared, actual)).toThrow(
      expect.objectContaining({ code: "audio_mislabelled" }),
    );
  });
});
