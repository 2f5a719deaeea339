import { readFileSync } from "node:fs";
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SpeechSegment } from "../../../shared/contracts/analysis-result.ts";
import type { ModelManifest } from "../../../regions/speech/models/load-manifest.ts";
import type { ModelEntry } from "../../../regions/speech/models/model-entry.ts";
import { openSpool } from "../../../regions/speech/transcription/open-spool.ts";
import type { SpooledAudio } from "../../../regions/speech/transcription/transcription-engine.ts";

/* Models of random weights and what they have to give, made by scripts/make-tiny-classifiers. */

const folder = fileURLToPath(new URL("../../fixtures/tiny-classifiers", import.meta.url));

export interface ExpectedRecording {
  seconds: number;
  hertz: number;
  speech: SpeechSegment[];
  windows: number;
  speech_s: number;
  dimensions: number[];
  labels: number[];
  years: number;
  spread_years: number;
  sex: number[];
  embedding: number[];
}

export const expected = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8")) as {
  files: Record<string, { bytes: number; sha256: string }>;
  recordings: [ExpectedRecording, ExpectedRecording];
};

export const labels = ["angry", "happy", "neutral", "sad"];
export const sexes = ["female", "male", "child"];
const hub = (name: string) =>
  ({ type: "huggingface", repo: `someone/${name}`, revision: "a".repeat(40) }) as const;
const file = (path: string) => ({ path, ...expected.files[path]! });
const common = { version: "1", licence: "MIT", commercial_use: true, memory_mb: 10 };
const signal = (name: string) => ({
  [name]: { type: "float32" as const, shape: ["batch", "samples"] },
});
const outputs = (widths: Record<string, number>) =>
  Object.fromEntries(
    Object.entries(widths).map(([name, width]) => [
      name,
      { type: "float32" as const, shape: ["batch", width] },
    ]),
  );

export const emotionModel: ModelEntry = {
  ...common,
  name: "tiny-emotion",
  task: "emotion",
  source: hub("tiny-emotion"),
  files: [
    {
      ...file("emotion.onnx"),
      inputs: {
        ...signal("input_values"),
        attention_mask: { type: "int64", shape: ["batch", "samples"] },
      },
      outputs: outputs({ dims: 3, logits: 4 }),
    },
  ],
  classifier: {
    input: "input_values",
    mask: "attention_mask",
    normalize: "unit_variance",
    min_speech_s: 1,
    window_s: 2,
    heads: [
      {
        gives: "emotion_dimensions",
        output: "dims",
        columns: ["arousal", "dominance", "valence"],
        range: [0, 1],
      },
      { gives: "emotion_labels", output: "logits", labels, activation: "softmax" },
    ],
  },
};

export const ageSexModel: ModelEntry = {
  ...common,
  name: "tiny-age-sex",
  task: "age_sex",
  source: hub("tiny-age-sex"),
  files: [
    { ...file("age-sex.onnx"), inputs: signal("signal"), outputs: outputs({ age: 1, sex: 3 }) },
  ],
  classifier: {
    input: "signal",
    normalize: "none",
    min_speech_s: 1,
    window_s: 2,
    heads: [
      { gives: "age", output: "age", years: 100 },
      { gives: "sex", output: "sex", labels: sexes, activation: "none" },
    ],
  },
};

export const speakerModel: ModelEntry = {
  ...common,
  name: "tiny-speaker",
  task: "speaker_embedding",
  source: hub("tiny-speaker"),
  files: [file("speaker.onnx")],
  classifier: {
    input: "input_values",
    mask: "attention_mask",
    normalize: "unit_variance",
    min_speech_s: 1,
    window_s: 2,
    heads: [{ gives: "speaker_embedding", output: "embeddings", size: 16 }],
  },
};

/** The same as `ageSexModel`, with the weights in a file beside the graph. */
export const outsideModel: ModelEntry = {
  ...ageSexModel,
  name: "tiny-outside",
  files: [file("outside.onnx"), file("outside.onnx_data")],
};

/** Puts the files of models where a pull would. */
export async function install(models: readonly ModelEntry[], into: string): Promise<ModelManifest> {
  for (const { name, version, files } of models) {
    await mkdir(join(into, `${name}@${version}`), { recursive: true });
    for (const { path } of files) {
      await copyFile(join(folder, path), join(into, `${name}@${version}`, path));
    }
  }
  return { models, folder: into };
}

/** Two sines whose loudness rises; what the figures were made for. */
export function twoSines(seconds: number, hertz: number): Float32Array {
  return Float32Array.from({ length: Math.round(seconds * 16_000) }, (_, i) => {
    const t = i / 16_000;
    return (
      (0.1 + 0.02 * t) * Math.sin(2 * Math.PI * hertz * t) +
      0.05 * Math.sin(2 * Math.PI * 7.3 * hertz * t)
    );
  });
}

export async function spooled(samples: Float32Array, into: string): Promise<SpooledAudio> {
  const spool = await openSpool(into);
  await spool.push(samples);
  return spool.finish();
}
