import { readFile } from "node:fs/promises";
import { AV_LOG_QUIET } from "node-av/constants";
import { Log } from "node-av/lib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import fc from "fast-check";
import { encodeAudio } from "../../../scripts/fixtures/encode-audio.ts";
import type { EncodeOptions } from "../../../scripts/fixtures/encode-audio.ts";
import { pcm16, wav } from "../../../scripts/fixtures/wav.ts";
import { createAnalyzer } from "../../../regions/speech/analyze.ts";
import type { Analysis } from "../../../regions/speech/analyze.ts";
import { AudioError, audioErrorCodes } from "../../../regions/speech/decode/audio-error.ts";
import { createDecoder } from "../../../regions/speech/decode/decoder.ts";
import { DecoderError } from "../../../regions/speech/decode/decoder-error.ts";
import { createFeaturesThread } from "../../../regions/speech/features/create-features-thread.ts";
import { createInferenceThread } from "../../../regions/speech/inference/create-inference-thread.ts";
import { AcousticFeatures, AudioFacts } from "../../../shared/contracts/analysis-result.ts";
import { decodeAll, failure, fixturePath, makeFolder, samplePath } from "./fixtures.ts";
import { sine, voice } from "./synthesise.ts";

const inference = createInferenceThread();
const features = createFeaturesThread();
const pids: (number | undefined)[] = [];
const decoder = createDecoder({ maxProcesses: 1, onSpawn: (pid) => pids.push(pid) });
const analyzer = createAnalyzer({ decoder, inference, features });
let folder: Awaited<ReturnType<typeof makeFolder>>;
beforeAll(async () => {
  Log.setLevel(AV_LOG_QUIET);
  folder = await makeFolder();
});
afterAll(async () => {
  await decoder.close();
  await inference.close();
  await features.close();
  await folder.remove();
});

const RATE = 16_000;
const allParts = ["voice_activity", "features", "speaking_rate", "emotion"] as const;
const analyze = (path: string) => analyzer.analyze(path, { parts: allParts });

describe("mutated files", () => {
  const RUNS = Number(process.env["ANTIPHON_FUZZ_RUNS"] ?? 600);
  const fixtures = [
    "speech.flac",
    "speech.mp3",
    "speech-opus.ogg",
    "speech-vorbis.ogg",
    "speech.m4a",
    "speech.aac",
    "speech.webm",
    "speech.aiff",
  ];
  /** Containers and codecs that have no fixture, made from half a second of the sample. */
  const made: Record<string, EncodeOptions> = {
    "ulaw.wav": { encoder: "pcm_mulaw", format: "wav", rate: RATE },
    "alaw.au": { encoder: "pcm_alaw", format: "au", rate: RATE },
    "adpcm.wav": { encoder: "adpcm_ms", format: "wav", rate: RATE },
    "g722.wav": { encoder: "g722", format: "wav", rate: RATE },
    "alac.m4a": { encoder: "alac", format: "ipod", rate: RATE },
    "alac.caf": { encoder: "alac", format: "caf", rate: RATE },
    "flac.ogg": { encoder: "flac", format: "ogg", rate: RATE },
    "vorbis.webm": { encoder: "libvorbis", format: "webm", rate: RATE, bitrate: 32_000 },
    "sound.w64": { encoder: "pcm_s16le", format: "w64", rate: RATE },
    "mp2.mp3": { encoder: "mp2", format: "mp2", rate: RATE, bitrate: 64_000 },
  };
  const seeds = new Map<string, Buffer>();

  beforeAll(async () => {
    const { samples } = await decodeAll(decoder, samplePath);
    const short = samples.slice(3200, 3200 + RATE / 2);
    for (const name of fixtures) seeds.set(name, await readFile(fixturePath(name)));
    for (const [name, settings] of Object.entries(made)) {
      encodeAudio(folder.path(name), short, settings);
      seeds.set(name, await readFile(folder.path(name)));
    }
    const floats = Buffer.from(short.buffer);
    seeds.set("16.wav", wav(pcm16(short, 2), { rate: RATE, channels: 2, bits: 16 }));
    seeds.set("24.wav", wav(pcm24(short), { rate: RATE, channels: 1, bits: 24 }));
    seeds.set("float.wav", wav(floats, { rate: RATE, channels: 1, bits: 32, format: 3 }));
    for (const [name, bytes] of seeds) {
      const { samples: heard } = await decodeAll(decoder, await folder.write(name, bytes));
      expect(heard.length, name).toBeGreaterThan(RATE * 0.4);
    }
  });

  test("end in a result of the right shape or in an error of the catalogue, and the next file works", async () => {
    const counts = { files: 0, decoded: 0, refused: {} as Record<string, number>, deaths: 0 };
    const own = createDecoder({ maxProcesses: 1, replaceAfterFailure: false });
    const fuzzed = createAnalyzer({ decoder: own, inference, features, maxDurationS: 600 });
    const before = process.memoryUsage().rss;
    try {
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...seeds.keys()), mutations, async (name, steps) => {
          const bytes = steps.reduce(mutate, seeds.get(name)!);
          counts.files += 1;
          try {
            assertShape(
              await fuzzed.analyze(await folder.write("mutated", bytes), { parts: allParts }),
            );
            counts.decoded += 1;
          } catch (error) {
            if (error instanceof DecoderError && error.code === "decoder_crashed") {
              counts.deaths += 1;
            } else {
              if (!(error instanceof AudioError)) throw error;
              expect(audioErrorCodes).toContain(error.code);
              expect(error.message).toMatch(/^[A-Z0-9].*\.$/s);
            }
            const { code } = error as AudioError;
            counts.refused[code] = (counts.refused[code] ?? 0) + 1;
          }
        }),
        { numRuns: RUNS, seed: process.env["ANTIPHON_FUZZ_RUNS"] ? Date.now() : 42 },
      );
      assertShape(await fuzzed.analyze(samplePath, { parts: allParts }));
    } finally {
      await own.close();
      const refusals = Object.entries(counts.refused).map(([code, count]) => `${count} ${code}`);
      process.stdout.write(
        `mutated files: ${counts.files} of ${seeds.size} formats, ${counts.decoded} decoded, refused: ${refusals.join(", ")}; ${counts.deaths} decoder deaths\n`,
      );
    }
    expect(counts.decoded).toBeGreaterThan(RUNS / 20);
    expect(process.memoryUsage().rss - before).toBeLessThan(300e6);
  }, 3_600_000);

  test("random bytes are never audio", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 4000 }), async (bytes) => {
        const error = await failure(analyze(await folder.write("random", bytes)));
        expect(error).toBeInstanceOf(AudioError);
      }),
      { numRuns: 60, seed: 42 },
    );
  });
});

describe("samples that are no numbers", () => {
  test.each([
    ["NaN", Number.NaN],
    ["infinite", Number.POSITIVE_INFINITY],
    ["minus infinite", Number.NEGATIVE_INFINITY],
    ["beyond all sense", 1e30],
  ])("(%s) in a float wav are refused by name", async (_, value) => {
    const samples = voice(1);
    samples[8000] = value;
    const bytes = wav(Buffer.from(samples.buffer), {
      rate: RATE,
      channels: 1,
      bits: 32,
      format: 3,
    });
    const error = await failure(analyze(await folder.write("numbers.wav", bytes)));
    expect(error).toMatchObject({
      code: "audio_corrupt",
      retryable: false,
      message: "The recording holds samples that are not finite numbers.",
    });
  });
});

describe("odd recordings", () => {
  const file = (samples: ArrayLike<number>, shape: { rate?: number; channels?: number } = {}) => {
    const { rate = RATE, channels = 1 } = shape;
    return folder.write("odd.wav", wav(pcm16(samples, channels), { rate, channels, bits: 16 }));
  };

  test("a single sample is a recording without voice, and its features say why they are not there", async () => {
    const result = await analyze(await file([0.5]));
    assertShape(result);
    expect(result.audio.duration_s).toBe(1 / RATE);
    expect(result.voice_activity).toEqual({ speech_ratio: 0, segments: [] });
    expect(result.features).toMatchObject({
      status: "unavailable",
      reason: expect.stringContaining("60 ms") as string,
    });
    expect(result.emotion).toMatchObject({ status: "unavailable" });
    expect(result.speaking_rate).toMatchObject({ syllables: 0, articulation_rate: null });
  });

  test("no sample at all is an empty recording", async () => {
    expect(await failure(analyze(await file([])))).toMatchObject({
      code: "audio_empty",
      message: "The file holds no sound.",
    });
  });

  test("eight channels are mixed, nine are refused with the limit", async () => {
    const result = await analyze(await file(voice(1), { channels: 8 }));
    expect(result.audio.channels).toBe(8);
    expect(medianPitch(result)).toBeCloseTo(120, -1);
    expect(await failure(analyze(await file(voice(1), { channels: 9 })))).toMatchObject({
      code: "audio_unsupported",
      message: "9 channels; 8 is the most.",
    });
  });

  test("192 kHz keep their pitch", async () => {
    const rate = 192_000;
    const tone = sine(1, 200, 0.5, rate).map(
      (value, i) => value * 0.5 + 0.25 * Math.sin((2 * Math.PI * 400 * i) / rate),
    );
    const result = await analyze(await file(tone, { rate }));
    expect(result.audio).toMatchObject({ sample_rate_hz: rate, duration_s: 1 });
    expect(medianPitch(result)).toBeCloseTo(200, -1);
  });

  test("pure DC is neither silent nor voice", async () => {
    const result = await analyze(await file(new Float32Array(RATE * 2).fill(0.5)));
    assertShape(result);
    expect(result.audio.level.silent).toBe(false);
    expect(result.audio.level.rms_dbfs).toBeCloseTo(-6.02, 2);
    expect(result.voice_activity).toEqual({ speech_ratio: 0, segments: [] });
    const { values, tracks } = AcousticFeatures.parse(result.features);
    expect(tracks.f0_hz.every((hz) => hz === 0)).toBe(true);
    expect(values["jitterLocal_sma3nz_amean"]).toBeNull();
    expect(result.speaking_rate).toMatchObject({ syllables: 0 });
  });

  test("hard clipping is told in figures, and its pitch is right all the same", async () => {
    const loud = voice(1, { amplitude: () => 2 });
    const result = await analyze(await file(loud));
    const { peak_dbfs, clipping } = result.audio.level;
    expect(peak_dbfs).toBe(0);
    const beyond = loud.filter((value) => Math.abs(value) >= 0.99998).length;
    expect(clipping.clipped_samples).toBe(beyond);
    expect(clipping.clipped_ratio).toBeCloseTo(beyond / RATE, 6);
    expect(clipping.longest_run).toBeGreaterThan(3);
    expect(medianPitch(result)).toBeCloseTo(120, -1);
  });

  test("minutes of silence have no speech, no pitch and no rate", async () => {
    const result = await analyze(await folder.silence("minutes.wav", 300));
    expect(result.audio).toMatchObject({
      duration_s: 300,
      level: { silent: true, rms_dbfs: null },
    });
    expect(result.voice_activity).toEqual({ speech_ratio: 0, segments: [] });
    expect(result.speaking_rate).toMatchObject({ syllables: 0, articulation_rate: null });
    expect(result.emotion).toMatchObject({ status: "unavailable" });
    const { values, tracks } = AcousticFeatures.parse(result.features);
    expect(tracks.f0_hz).toHaveLength(29_995);
    expect(Math.max(...tracks.f0_hz)).toBe(0);
    expect(values["VoicedSegmentsPerSec"]).toBe(0);
  });

  test("ten hours are refused with the limit before a sample is decoded", async () => {
    const path = await folder.silence("hours.wav", 36_000);
    const heard: number[] = [];
    const job = {
      parts: ["features"],
      onProgress: ({ decoded_s }: { decoded_s: number }) => heard.push(decoded_s),
    } as const;
    expect(await failure(analyzer.analyze(path, job))).toMatchObject({
      code: "audio_too_long",
      message: "The recording is longer than 8 hours.",
    });
    expect(heard).toEqual([]);
  });

  test("a stream that changes its rate is decoded whole, one that never stops to is refused", async () => {
    const parts = [16_000, 24_000].map((rate) => {
      const path = folder.path(`part-${rate}.aac`);
      const settings = { encoder: "aac", format: "adts", rate, bitrate: 48_000 };
      encodeAudio(path, sine(0.3, 300, 0.5, rate), settings);
      return path;
    });
    const [low, high] = (await Promise.all(parts.map((path) => readFile(path)))) as [
      Buffer,
      Buffer,
    ];
    const lone = await decodeAll(decoder, parts[0]!);
    const joined = await folder.write("joined.aac", Buffer.concat([low, high, low]));
    const whole = await decodeAll(decoder, joined);
    expect(whole.info.duration_s).toBeGreaterThan(2.5 * lone.info.duration_s);
    const endless = Array.from({ length: 200 }, () => [low, high]).flat();
    const hostile = await folder.write("endless.aac", Buffer.concat(endless));
    expect(await failure(analyze(hostile))).toMatchObject({
      code: "audio_corrupt",
      message: "The stream changes its shape time and again.",
    });
  });

  test.each([
    ["a wav whose header promises 2 GB", (bytes: Buffer) => bytes.writeUInt32LE(2_000_000_000, 40)],
    [
      "a wav whose header promises more than there is",
      (bytes: Buffer) => bytes.writeUInt32LE(1e6, 40),
    ],
  ])("%s is truncated", async (_, change) => {
    const bytes = wav(pcm16(voice(1)), { rate: RATE, channels: 1, bits: 16 });
    change(bytes);
    expect(await failure(analyze(await folder.write("huge.wav", bytes)))).toMatchObject({
      code: "audio_truncated",
    });
  });

  test("a wav that was streamed, its length left open, is as long as it is", async () => {
    const bytes = wav(pcm16(voice(1)), { rate: RATE, channels: 1, bits: 16 });
    bytes.writeUInt32LE(0xffff_ffff, 4);
    bytes.writeUInt32LE(0xffff_ffff, 40);
    expect((await analyze(await folder.write("open.wav", bytes))).audio.duration_s).toBe(1);
  });

  test("an m4a whose tables promise a billion samples is refused in little memory", async () => {
    const whole = await readFile(fixturePath("speech.m4a"));
    const before = process.memoryUsage().rss;
    for (const table of ["stsz", "stts", "stco", "stsc"]) {
      const bytes = Buffer.from(whole);
      const at = bytes.indexOf(table, "latin1");
      // The count of entries: after type, version and flags, in stsz also after the size that all would share.
      bytes.writeUInt32BE(1_000_000_000, at + (table === "stsz" ? 12 : 8));
      const path = await folder.write(`${table}.m4a`, bytes);
      const outcome = await analyze(path).catch((error: unknown) => error);
      if (outcome instanceof Error) expect(outcome, table).toBeInstanceOf(AudioError);
      else assertShape(outcome as Analysis);
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
  });
});

/** One way to harm a file. */
interface Mutation {
  kind: "truncate" | "flip" | "noise" | "zero" | "repeat" | "remove" | "number";
  /** A part of the file's length or, negative, a byte from its start. */
  at: number;
  size: number;
  value: number;
}

const mutations = fc.array(
  fc.record<Mutation>({
    kind: fc.constantFrom("truncate", "flip", "noise", "zero", "repeat", "remove", "number"),
    // As many of them in the headers, which have the most to be wrong.
    at: fc.oneof(
      fc.integer({ min: 0, max: 9999 }).map((place) => place / 10_000),
      fc.integer({ min: 0, max: 400 }).map((byte) => -byte),
    ),
    size: fc.integer({ min: 1, max: 2000 }),
    value: fc.integer({ min: 0, max: 0xffff_ffff }),
  }),
  { minLength: 1, maxLength: 3 },
);

function mutate(bytes: Buffer, { kind, at: place, size, value }: Mutation): Buffer {
  const at = place < 0 ? Math.min(-place, bytes.length) : Math.floor(place * bytes.length);
  const copy = Buffer.from(bytes);
  const end = Math.min(copy.length, at + size);
  if (kind === "truncate") return copy.subarray(0, at);
  if (kind === "remove") return Buffer.concat([copy.subarray(0, at), copy.subarray(end)]);
  if (kind === "repeat") return Buffer.concat([copy.subarray(0, end), copy.subarray(at)]);
  if (kind === "zero") return copy.fill(0, at, end);
  if (kind === "flip" && at < copy.length) copy[at]! ^= 1 << (value & 7);
  if (kind === "number" && at + 4 <= copy.length) {
    // Counts and lengths are where a parser trusts most.
    copy.writeUInt32BE([0, 0xffff_ffff, 0x7fff_ffff, value][value & 3]!, at);
  }
  if (kind === "noise") {
    for (let i = at, state = value; i < end; i += 1) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      copy[i] = state >>> 24;
    }
  }
  return copy;
}

function assertShape(result: Analysis): void {
  AudioFacts.parse({ ...result.audio, sha256: "0".repeat(64), bytes: 1 });
  const { audio, features: _features, voice_activity } = result;
  if (voice_activity !== undefined && "segments" in voice_activity) {
    for (const { end_s } of voice_activity.segments)
      expect(end_s).toBeLessThanOrEqual(audio.duration_s);
  }
  if (_features !== undefined && "values" in _features) {
    AcousticFeatures.parse(_features);
    expect(Math.abs(_features.tracks.f0_hz.length * 0.01 - audio.duration_s)).toBeLessThan(0.1);
  }
  // JSON would turn NaN and infinity into null.
  JSON.stringify(result, (name, value: unknown) => {
    if (typeof value === "number" && !Number.isFinite(value))
      throw new Error(`${name} is ${value}`);
    return value;
  });
}

function medianPitch(result: Analysis): number {
  const voiced = AcousticFeatures.parse(result.features).tracks.f0_hz.filter((hz) => hz > 0);
  return voiced.toSorted((a, b) => a - b)[voiced.length >> 1] ?? 0;
}

function pcm24(samples: Float32Array): Buffer {
  const bytes = Buffer.alloc(samples.length * 3);
  for (const [i, sample] of samples.entries())
    bytes.writeIntLE(Math.round(sample * 8_388_607), i * 3, 3);
  return bytes;
}
