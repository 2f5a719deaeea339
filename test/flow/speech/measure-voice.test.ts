import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  AcousticFeatures,
  Emotion,
  SpeakingRate,
  UnavailablePart,
} from "../../../shared/contracts/analysis-result.ts";
import type { SpeechSegment } from "../../../shared/contracts/analysis-result.ts";
import { createBandMeter } from "../../../regions/speech/arousal/create-band-meter.ts";
import { rateArousal } from "../../../regions/speech/arousal/rate-arousal.ts";
import { toFeaturesPart } from "../../../regions/speech/features/to-features-part.ts";
import { createIntensityMeter } from "../../../regions/speech/levels/create-intensity-meter.ts";
import { createVoiceMeter } from "../../../regions/speech/measure-voice.ts";
import { measureSpeakingRate } from "../../../regions/speech/speaking-rate/measure-speaking-rate.ts";
import { concat, noise, scaled, silence, sine, syllables, voice } from "./synthesise.ts";

function measure(samples: Float32Array, speech?: SpeechSegment[], size = 16_000) {
  const meter = createVoiceMeter();
  for (let at = 0; at < samples.length; at += size) meter.push(samples.subarray(at, at + size));
  return meter.finish(speech);
}

function arousalOf(samples: Float32Array): Emotion {
  return Emotion.parse(measure(samples).emotion);
}

describe("speaking rate", () => {
  test.each([
    [1, 4],
    [5, 2],
    [12, 4],
    [20, 5],
    [30, 6],
  ])("of %i syllables at %i a second is just that", (count, perSecond) => {
    const { speaking_rate: rate } = measure(syllables(count, { perSecond }));
    expect(rate.syllables).toBe(count);
    expect(rate.syllables_per_s).toBeCloseTo(perSecond, 2);
  });

  test("counts syllables whatever the level, the offset and the block", () => {
    const samples = syllables(9);
    for (const changed of [
      scaled(samples, 0.05),
      scaled(samples, 3),
      samples.map((sample) => sample + 0.2),
    ]) {
      expect(measure(changed).speaking_rate.syllables).toBe(9);
    }
    expect(measure(samples, undefined, 777)).toEqual(measure(samples));
  });

  test("takes a dip of less than 2 dB for no border between syllables", () => {
    expect(measure(syllables(8, { dipDb: 1 })).speaking_rate.syllables).toBe(1);
    expect(measure(syllables(8, { dipDb: 4 })).speaking_rate.syllables).toBe(8);
  });

  test("takes bursts of noise for no syllables", () => {
    const burst = concat(noise(0.1), silence(0.15));
    const samples = concat(...Array.from({ length: 8 }, () => burst));
    expect(measure(samples).speaking_rate).toMatchObject({
      syllables: 0,
      articulation_rate: null,
      phonation_s: 0,
    });
  });

  test("leaves out what is too quiet beside the rest", () => {
    const samples = concat(syllables(6), silence(0.3), scaled(syllables(6), 0.03));
    expect(measure(samples).speaking_rate.syllables).toBe(6);
  });

  test("counts pauses, and articulation without them", () => {
    const samples = concat(syllables(8), silence(1), syllables(8), silence(0.5), syllables(8));
    const speech = [
      { start_s: 0, end_s: 2 },
      { start_s: 3, end_s: 5 },
      { start_s: 5.5, end_s: 7.5 },
    ];
    for (const heard of [speech, undefined]) {
      const rate = measure(samples, heard).speaking_rate;
      expect(rate.syllables).toBe(24);
      expect(rate.syllables_per_s).toBeCloseTo(24 / 7.5, 2);
      expect(rate.pauses.count).toBe(2);
      expect(Math.abs(rate.pauses.total_s - 1.5)).toBeLessThan(heard ? 0.001 : 0.25);
      expect(Math.abs((rate.articulation_rate ?? 0) - 4)).toBeLessThan(heard ? 0.01 : 0.2);
    }
  });

  test("takes a gap of less than 0.3 s for part of the articulation", () => {
    const speech = [
      { start_s: 0, end_s: 1 },
      { start_s: 1.29, end_s: 2 },
    ];
    expect(measure(syllables(8), speech).speaking_rate).toMatchObject({
      phonation_s: 2,
      pauses: { count: 0, total_s: 0 },
    });
  });

  test("counts only where there is speech", () => {
    const samples = syllables(12);
    expect(measure(samples, [{ start_s: 0, end_s: 1 }]).speaking_rate.syllables).toBe(4);
    expect(measure(samples, []).speaking_rate).toMatchObject({
      syllables: 0,
      syllables_per_s: 0,
      articulation_rate: null,
    });
  });

  test("is of a valid shape whatever the tracks", () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -120, max: 0, noNaN: true }), { maxLength: 300 }),
        fc.func(fc.boolean()),
        (levels, isVoiced) => {
          SpeakingRate.parse(
            measureSpeakingRate({
              durationS: levels.length / 100,
              intensityDb: Float32Array.from(levels),
              isVoiced,
            }),
          );
        },
      ),
    );
  });
});

test("intensity of a sine is its level, an offset apart", () => {
  for (const offset of [0, 0.25]) {
    const meter = createIntensityMeter();
    meter.push(sine(1, 200, 0.5).map((sample) => sample + offset));
    const levels = meter.finish();
    expect(levels).toHaveLength(100);
    for (const level of levels.subarray(5, 95)) expect(level).toBeCloseTo(-9.03, 1);
  }
});

test("HF500 tells tones below 500 Hz from those above", () => {
  const ratioOf = (samples: Float32Array) => {
    const meter = createBandMeter();
    meter.push(samples);
    return meter.finish()[50]!;
  };
  expect(ratioOf(sine(1, 200))).toBeLessThan(-14);
  expect(ratioOf(sine(1, 1500))).toBeGreaterThan(14);
  expect(Math.abs(ratioOf(sine(1, 500)))).toBeLessThan(0.5);
});

describe("arousal", () => {
  const calm = voice(2, { hz: 120, amplitude: () => 0.2 });

  test("rises with pitch, with level and with high frequencies, each by its own cue", () => {
    const neutral = arousalOf(calm);
    const high = arousalOf(voice(2, { hz: 190, amplitude: () => 0.2 }));
    const loud = arousalOf(scaled(calm, 2));
    const bright = arousalOf(calm.map((sample, i) => sample - 0.9 * (calm[i - 1] ?? 0)));
    expect(high.cues.pitch.score).toBeGreaterThan(neutral.cues.pitch.score);
    expect(loud.cues.intensity.score).toBeGreaterThan(neutral.cues.intensity.score);
    expect(loud.cues.intensity.median_dbfs - neutral.cues.intensity.median_dbfs).toBeCloseTo(6, 0);
    expect(loud.cues.hf500).toEqual(neutral.cues.hf500);
    expect(loud.arousal).toBeGreaterThan(neutral.arousal);
    expect(bright.cues.hf500.score).toBeGreaterThan(neutral.cues.hf500.score);
  });

  test("says how it was made and that nothing of the speaker's own was held against it", () => {
    const found = arousalOf(calm);
    expect(found).toMatchObject({
      method: "rule-based: Bone, Lee & Narayanan 2014",
      baseline: "global",
    });
    expect(found.cues.pitch.median_hz).toBeCloseTo(120, -1);
    expect(found.confidence).toBeLessThanOrEqual(0.5);
    expect(arousalOf(voice(0.6)).confidence).toBeLessThan(arousalOf(voice(3)).confidence);
  });

  test.each([
    ["silence", silence(2), undefined],
    ["noise", noise(2), undefined],
    ["a click of a voice", concat(silence(1), voice(0.15), silence(1)), undefined],
    ["a voice outside of all speech", voice(2), []],
    ["a single sample", Float32Array.of(0.5), undefined],
    ["no sample at all", new Float32Array(0), undefined],
  ])("of %s is unavailable, with the reason", (_, samples, speech) => {
    const { emotion } = measure(samples, speech);
    expect(UnavailablePart.parse(emotion).reason).toMatch(/less than 0.3 s/);
  });

  test("lies between -1 and 1 whatever was measured", () => {
    const values = (min: number, max: number) => fc.float({ min, max, noNaN: true });
    const frame = fc.tuple(values(55, 1000), values(-120, 40), values(-120, 120));
    fc.assert(
      fc.property(fc.array(frame, { minLength: 30, maxLength: 60 }), (frames) => {
        const column = (at: 0 | 1 | 2) => Float32Array.from(frames, (values) => values[at]);
        Emotion.parse(rateArousal({ f0Hz: column(0), intensityDb: column(1), hf500Db: column(2) }));
      }),
    );
  });
});

describe("features as a result carries them", () => {
  test("are 88 numbers and two tracks for a voice", () => {
    const features = AcousticFeatures.parse(measure(voice(2)).features);
    expect(Object.keys(features.values)).toHaveLength(88);
    expect(features.values["HNRdBACF_sma3nz_amean"]).not.toBeNull();
    expect(features.tracks.hop_s).toBe(0.01);
    expect(features.tracks.f0_hz[100]).toBeCloseTo(120, -1);
    expect(features.tracks.loudness).toHaveLength(199);
  });

  test("have null where there is no voice to measure, and numbers for the rest", () => {
    const { values, tracks } = AcousticFeatures.parse(measure(noise(1)).features);
    expect(values["jitterLocal_sma3nz_amean"]).toBeNull();
    expect(values["MeanVoicedSegmentLengthSec"]).toBeNull();
    expect(values["VoicedSegmentsPerSec"]).toBe(0);
    expect(values["loudness_sma3_amean"]).toBeGreaterThan(0);
    expect(values["alphaRatioUV_sma3nz_amean"]).not.toBeNull();
    expect(new Set(tracks.f0_hz)).toEqual(new Set([0]));
  });

  test("are unavailable where not one frame fits in", () => {
    for (const samples of [Float32Array.of(1), silence(0.05)]) {
      expect(UnavailablePart.parse(measure(samples).features).reason).toMatch(/60 ms/);
    }
    AcousticFeatures.parse(measure(silence(0.06)).features);
  });

  test("of a long recording have thinner tracks, of the same pitch and length", () => {
    const meter = (most: number) => {
      const track = Float32Array.from({ length: 1000 }, (_, i) => (i < 500 ? 100 + (i % 3) : 0));
      return AcousticFeatures.parse(
        toFeaturesPart(
          { features: {}, formants: [], tracks: { hop_s: 0.01, f0_hz: track, loudness: track } },
          most,
        ),
      ).tracks;
    };
    expect(meter(1000)).toMatchObject({ hop_s: 0.01 });
    const thin = meter(300);
    expect(thin.hop_s).toBe(0.04);
    expect(thin.f0_hz).toHaveLength(250);
    expect(thin.f0_hz[10]).toBeCloseTo(101, 0);
    expect(thin.f0_hz[200]).toBe(0);
  });
});
