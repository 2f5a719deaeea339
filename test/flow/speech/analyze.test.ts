import { afterAll, describe, expect, test } from "vitest";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { Worker } from "node:worker_threads";
import {
  AcousticFeatures,
  AudioFacts,
  Emotion,
  SpeakingRate,
  VoiceActivity,
} from "../../../shared/contracts/analysis-result.ts";
import { egemapsNames } from "../../../shared/contracts/egemaps-names.ts";
import { createAnalyzer } from "../../../regions/speech/analyze.ts";
import { createDecoder } from "../../../regions/speech/decode/decoder.ts";
import { createFeaturesThread } from "../../../regions/speech/features/create-features-thread.ts";
import { createInferenceThread } from "../../../regions/speech/inference/create-inference-thread.ts";
import { loadManifest } from "../../../regions/speech/models/load-manifest.ts";
import { resolveModel } from "../../../regions/speech/models/resolve-model.ts";
import { createVoiceMeter } from "../../../regions/speech/measure-voice.ts";
import { createVoiceActivity } from "../../../regions/speech/voice-activity/create-voice-activity.ts";
import { emptyState } from "../../../regions/speech/voice-activity/voice-activity-state.ts";
import { decodeAll, fixturePath, samplePath } from "./fixtures.ts";
import { holdTheClock } from "./hold-the-clock.ts";

const decoder = createDecoder();
const inference = createInferenceThread();
const features = createFeaturesThread();
const manifest = loadManifest();
const analyzer = createAnalyzer({ decoder, inference, features });
afterAll(async () => {
  await decoder.close();
  await inference.close();
  await features.close();
});

const found = resolveModel(manifest, "voice_activity");
if (found.status !== "ready") throw new Error(found.reason);
const { model } = found;

async function voiceOf(samples: Float32Array, sizes: (at: number) => number) {
  const voice = createVoiceActivity({ inference, model });
  for (let at = 0, size = sizes(0); at < samples.length; at += size, size = sizes(at)) {
    const part = samples.subarray(at, at + size);
    const block = new Float32Array(new SharedArrayBuffer(part.length * 4));
    block.set(part);
    await voice.push(block);
  }
  return voice.finish();
}

test("onnxruntime reports to nobody: its telemetry, on by default, never starts", async () => {
  await analyzer.analyze(samplePath, { parts: ["voice_activity"] });
  // What its uploader leaves behind in every process in which it was set up.
  expect(readdirSync(tmpdir())).not.toContain(`mat-debug-${process.pid}.log`);
});

describe("an analysis", () => {
  test("finds the sentence in the sample, conforms to the contract and names its engines", async () => {
    const progress: number[] = [];
    const result = await analyzer.analyze(samplePath, {
      parts: ["voice_activity", "transcript", "age"],
      declaredContentType: "audio/x-wav",
      onProgress: ({ fraction }) => progress.push(fraction ?? -1),
    });
    AudioFacts.parse({ ...result.audio, sha256: "0".repeat(64), bytes: 1 });
    const voice = VoiceActivity.parse(result.voice_activity);
    expect(result.audio).toMatchObject({
      duration_s: 2.659375,
      sample_rate_hz: 16_000,
      channels: 1,
    });
    expect(voice.segments).toHaveLength(1);
    expect(voice.segments[0]?.start_s).toBeCloseTo(0.19, 1);
    expect(voice.speech_ratio).toBeGreaterThan(0.85);
    expect(result.transcript).toMatchObject({ status: "unavailable" });
    expect(result.age).toMatchObject({ status: "unavailable" });
    expect(result.features).toBeUndefined();
    expect(result.timings_ms).not.toHaveProperty("features");
    expect(result.engines).toMatchObject({
      decode: { name: "ffmpeg", model_sha256: null },
      voice_activity: { name: "silero-vad", model_sha256: model.sha256 },
    });
    expect(progress.at(-1)).toBe(1);
    expect(JSON.parse(JSON.stringify(result))).toEqual(result);
  });

  test("measures the voice in the sample: features, speaking rate and arousal", async () => {
    const result = await analyzer.analyze(samplePath, {
      parts: ["features", "speaking_rate", "emotion"],
    });
    const { values, tracks } = AcousticFeatures.parse(result.features);
    for (const name of egemapsNames) expect(values[name], name).not.toBeNull();
    expect(tracks.loudness).toHaveLength(264);
    const rate = SpeakingRate.parse(result.speaking_rate);
    // "Press star to cancel this message."
    expect(Math.abs(rate.syllables - 8)).toBeLessThanOrEqual(2);
    expect(rate.pauses.count).toBe(0);
    const { cues } = Emotion.parse(result.emotion);
    expect(cues.pitch.median_hz).toBeGreaterThan(180);
    expect(cues.pitch.median_hz).toBeLessThan(230);
    expect(result.voice_activity).toBeUndefined();
    expect(Object.keys(result.engines).toSorted()).toEqual([
      "decode",
      "emotion",
      "features",
      "speaking_rate",
      "voice_activity",
    ]);
    expect(Object.keys(result.timings_ms)).toEqual([
      "decode",
      "voice_activity",
      "features",
      "total",
    ]);
    expect(JSON.parse(JSON.stringify(result))).toEqual(result);
  });

  test("gives the same features beside other stages as in one go", async () => {
    const { samples } = await decodeAll(decoder, samplePath);
    const meter = createVoiceMeter();
    meter.push(samples);
    const alone = await analyzer.analyze(samplePath, { parts: ["features"] });
    const beside = await analyzer.analyze(samplePath, { parts: ["voice_activity", "features"] });
    expect(alone.features).toEqual(meter.finish().features);
    expect(beside.features).toEqual(alone.features);
  });

  test.each([
    "speech.flac",
    "speech.mp3",
    "speech-opus.ogg",
    "speech-vorbis.ogg",
    "speech.m4a",
    "speech.webm",
  ])("of %s finds the speech where the wav has it", async (name) => {
    const parts = ["voice_activity"] as const;
    const wav = VoiceActivity.parse((await analyzer.analyze(samplePath, { parts })).voice_activity);
    const other = VoiceActivity.parse(
      (await analyzer.analyze(fixturePath(name), { parts })).voice_activity,
    );
    expect(other.segments).toHaveLength(wav.segments.length);
    for (const [i, segment] of wav.segments.entries()) {
      expect(Math.abs((other.segments[i]?.start_s ?? 99) - segment.start_s)).toBeLessThan(0.07);
      expect(Math.abs((other.segments[i]?.end_s ?? 99) - segment.end_s)).toBeLessThan(0.07);
    }
  });

  test("of silence has no speech and says that it is silent", async () => {
    const result = await analyzer.analyze(fixturePath("silence.wav"), {
      parts: ["voice_activity"],
    });
    expect(result.voice_activity).toEqual({ speech_ratio: 0, segments: [] });
    expect(result.audio.level).toMatchObject({ silent: true, rms_dbfs: null, peak_dbfs: null });
  });

  test("tells clipping", async () => {
    const { audio } = await analyzer.analyze(fixturePath("clipped.wav"), { parts: ["features"] });
    expect(audio.level.peak_dbfs).toBe(0);
    expect(audio.level.clipping.clipped_ratio).toBeGreaterThan(0.2);
    expect(audio.level.clipping.longest_run).toBeGreaterThan(10);
  });

  test("refuses a recording that is not what it was sent as", async () => {
    const job = { parts: ["voice_activity"], declaredContentType: "audio/mpeg" } as const;
    await expect(analyzer.analyze(fixturePath("mislabelled.mp3"), job)).rejects.toMatchObject({
      code: "audio_mislabelled",
    });
  });

  test("without its model is still an analysis", async () => {
    const source = { type: "npm", package: "@livekit/none" } as const;
    const poor = { models: manifest.models.map((entry) => ({ ...entry, source })) };
    const result = await createAnalyzer({ decoder, inference, features, manifest: poor }).analyze(
      samplePath,
      {
        parts: ["voice_activity"],
      },
    );
    expect(result.voice_activity).toMatchObject({ status: "unavailable", install: "npm ci" });
    expect(Object.keys(result.engines)).toEqual(["decode"]);
  });

  test("with a model of another hash fails and says so", async () => {
    const forged = {
      models: manifest.models.map((entry) => ({
        ...entry,
        files: entry.files.map((file) => ({ ...file, sha256: "0".repeat(64) })),
      })),
    };
    const failing = createAnalyzer({ decoder, inference, features, manifest: forged });
    await expect(failing.analyze(samplePath, { parts: ["voice_activity"] })).rejects.toMatchObject({
      code: "model_hash_mismatch",
      retryable: false,
    });
  });

  test("stops when it is aborted, before or during", async () => {
    const stop = new AbortController();
    const reason = new Error("enough");
    const parts = ["voice_activity"] as const;
    const running = analyzer.analyze(samplePath, {
      parts,
      signal: stop.signal,
      onProgress: () => stop.abort(reason),
    });
    await expect(running).rejects.toBe(reason);
    await expect(analyzer.analyze(samplePath, { parts, signal: stop.signal })).rejects.toBe(reason);
  });
});

test("voice activity is the same in blocks of any size", async () => {
  const { samples } = await decodeAll(decoder, samplePath);
  const whole = await voiceOf(samples, () => samples.length);
  expect(whole.segments.length).toBeGreaterThan(0);
  expect(await voiceOf(samples, () => 777)).toEqual(whole);
  expect(await voiceOf(samples, (at) => 1 + ((at * 31) % 1500))).toEqual(whole);
  expect(await voiceOf(samples, () => 512)).toEqual(whole);
});

test("the model hears each window the same whether it comes alone or with the others", async () => {
  const { samples } = await decodeAll(decoder, samplePath);
  const windows = 40;
  const shared = new Float32Array(new SharedArrayBuffer(windows * 512 * 4));
  shared.set(samples.subarray(0, shared.length));
  const whole = await inference.run("voice_activity", model, {
    samples: shared,
    state: emptyState(),
  });
  let state = emptyState();
  for (let i = 0; i < windows; i += 1) {
    const alone = { samples: shared.subarray(i * 512, (i + 1) * 512), state };
    const output = await inference.run("voice_activity", model, alone);
    expect(output.probabilities[0]).toBe(whole.probabilities[i]);
    state = output.state;
  }
});

describe("an inference thread", () => {
  const input = () => ({
    samples: new Float32Array(new SharedArrayBuffer(512 * 4)),
    state: emptyState(),
  });

  test("that dies fails what was pending with an error worth a retry, and the next request starts another", async () => {
    let spawned = 0;
    const dying = `require("node:worker_threads").parentPort.once("message", () => process.exit(1))`;
    const own = createInferenceThread({
      startThread: () => {
        spawned += 1;
        const entry = new URL(
          "../../../regions/speech/inference/inference-thread.ts",
          import.meta.url,
        );
        return spawned === 1 ? new Worker(dying, { eval: true }) : new Worker(entry);
      },
    });
    try {
      await expect(own.run("voice_activity", model, input())).rejects.toMatchObject({
        code: "inference_thread_died",
        retryable: true,
      });
      expect((await own.run("voice_activity", model, input())).probabilities).toHaveLength(1);
      expect(spawned).toBe(2);
    } finally {
      await own.close();
    }
  });

  test("that hangs is replaced", async () => {
    const pass = holdTheClock();
    let spawned = 0;
    const own = createInferenceThread({
      stallMs: 3000,
      startThread: () => {
        spawned += 1;
        const entry = new URL(
          "../../../regions/speech/inference/inference-thread.ts",
          import.meta.url,
        );
        return spawned === 1 ? new Worker("for (;;);", { eval: true }) : new Worker(entry);
      },
    });
    try {
      const stalled = expect(own.run("voice_activity", model, input())).rejects.toMatchObject({
        code: "inference_stalled",
      });
      await pass(3000);
      await stalled;
      expect((await own.run("voice_activity", model, input())).probabilities).toHaveLength(1);
    } finally {
      await own.close();
    }
  });

  test("drops a request that is aborted and goes on with the others", async () => {
    const stop = new AbortController();
    const first = inference.run("voice_activity", model, input());
    const second = inference.run("voice_activity", model, input(), { signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(second).rejects.toThrow("enough");
    expect((await first).probabilities).toHaveLength(1);
  });

  test("that is closed in the middle of its work lets the process live", async () => {
    const long = {
      samples: new Float32Array(new SharedArrayBuffer(512 * 4 * 2)),
      state: emptyState(),
    };
    for (let i = 0; i < 8; i += 1) {
      const own = createInferenceThread();
      await own.run("voice_activity", model, input());
      const running = own.run("voice_activity", model, long);
      const closing = own.close();
      await expect(running).rejects.toMatchObject({ code: "inference_closed" });
      await closing;
    }
  });

  test("refuses work once it is closed", async () => {
    const own = createInferenceThread();
    await own.close();
    await expect(own.run("voice_activity", model, input())).rejects.toMatchObject({
      code: "inference_closed",
    });
  });
});
