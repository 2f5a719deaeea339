import { readdir } from "node:fs/promises";
import { afterAll, describe, expect, test } from "vitest";
import { Transcript } from "../../../shared/contracts/analysis-result.ts";
import { createAnalyzer } from "../../../regions/speech/analyze.ts";
import { createDecoder } from "../../../regions/speech/decode/decoder.ts";
import { createFeaturesThread } from "../../../regions/speech/features/create-features-thread.ts";
import { createInferenceThread } from "../../../regions/speech/inference/create-inference-thread.ts";
import { createTranscriber } from "../../../regions/speech/transcription/create-transcriber.ts";
import type { TranscriptionEngine } from "../../../regions/speech/transcription/transcription-engine.ts";
import { fixturePath, makeFolder, samplePath } from "./fixtures.ts";
import { only } from "./transcribers.ts";

/** Says "word" in the middle of each utterance. */
const engine: TranscriptionEngine = {
  quality: "full",
  wordTimes: "measured",
  utterances: { maxS: 20, joinS: 0.8, padS: 0.25 },
  languages: async () => ["en"],
  close: async () => undefined,
  describe: async () => ({ name: "test-engine", version: "1", model_sha256: null }),
  transcribe: async (_audio, utterances, { onUtterance }) =>
    utterances.map(({ start_s, end_s }) => {
      const middle = (start_s + end_s) / 2;
      const words = [{ word: "word", start_s: middle, end_s: middle }];
      const utterance = { start_s, end_s, words, language: "en" };
      onUtterance?.(utterance);
      return utterance;
    }),
};

const decoder = createDecoder();
const inference = createInferenceThread();
const features = createFeaturesThread();
const folder = await makeFolder();
const transcriber = createTranscriber({ engines: only(engine), folder: folder.path("") });
const analyzer = createAnalyzer({ decoder, inference, features, transcriber });
afterAll(async () => {
  await Promise.all([decoder, inference, features, transcriber].map((part) => part.close()));
  await folder.remove();
});

describe("an analysis with a transcript", () => {
  test("makes it in the same pass as the rest, and names and times its engine", async () => {
    const progress: number[] = [];
    const result = await analyzer.analyze(samplePath, {
      parts: ["transcript", "voice_activity", "speaking_rate"],
      onProgress: ({ fraction }) => progress.push(fraction ?? -1),
    });
    const transcript = Transcript.parse(result.transcript);
    expect(transcript).toMatchObject({ text: "word", quality: "full" });
    expect(transcript.words![0]!.start_s).toBeCloseTo(1.3, 0);
    expect(result.engines).toMatchObject({ transcribe: { name: "test-engine" } });
    expect(result.timings_ms).toHaveProperty("transcribe");
    expect(result.speaking_rate).toBeDefined();
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
    expect(progress.at(-2)).toBeLessThan(0.5);
    expect(progress.at(-1)).toBe(1);
  });

  test("listens where speech is without giving voice activity that nobody asked for", async () => {
    const result = await analyzer.analyze(samplePath, { parts: ["transcript"] });
    expect(result.voice_activity).toBeUndefined();
    expect(result.transcript).toMatchObject({ text: "word" });
  });

  test("of silence has no text", async () => {
    const { transcript } = await analyzer.analyze(fixturePath("silence.wav"), {
      parts: ["transcript"],
    });
    expect(transcript).toEqual({
      text: "",
      language: "en",
      quality: "full",
      words: [],
      word_times: "measured",
      segments: [],
    });
  });

  test("leaves no file behind, also when the recording breaks off", async () => {
    await analyzer
      .analyze(fixturePath("truncated.flac"), { parts: ["transcript"] })
      .catch(() => undefined);
    const [home] = await readdir(folder.path(""));
    expect(await readdir(folder.path(home!))).toEqual([]);
  });

  test("is still an analysis where no engine is installed", async () => {
    const missing = {
      status: "unavailable",
      reason: "No engine for transcripts is installed.",
      install: "apt-get install something",
    } as const;
    const without = createTranscriber({ engines: only(missing) });
    const poor = createAnalyzer({ decoder, inference, features, transcriber: without });
    const result = await poor.analyze(samplePath, { parts: ["transcript", "voice_activity"] });
    expect(result.transcript).toEqual(missing);
    expect(result.voice_activity).toMatchObject({ segments: [{}] });
    expect(Object.keys(result.engines)).not.toContain("transcribe");
  });
});
