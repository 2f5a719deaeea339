import { createHash } from "node:crypto";
import { cp, readFile, readdir, stat, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { EngineFile } from "../../../regions/speech/transcription/neural/model-files.ts";

/** A Whisper of random weights, made by scripts/make-tiny-models. */
export const tinyWhisperFolder = fileURLToPath(
  new URL("../../fixtures/whisper-tiny-random", import.meta.url),
);

/** What PyTorch's transformers makes of recordings with the weights of the tiny Whisper. */
export interface WhisperReference {
  max_new_tokens: number;
  recordings: Record<
    string,
    {
      samples: number;
      mel: {
        frames: Record<string, number[]>;
        mean: number;
        deviation: number;
        highest: number;
        lowest: number;
      };
      encoder: { rows: Record<string, number[]>; mean: number; deviation: number };
      languages: Record<string, number>;
      no_speech: number;
      without_timestamps: { tokens: number[]; average_logprob: number; text: string };
      with_timestamps: { tokens: number[]; average_logprob: number };
      german_translated: { tokens: number[] };
    }
  >;
}

export async function readReference(): Promise<WhisperReference> {
  const text = await readFile(join(tinyWhisperFolder, "reference.json"), "utf8");
  return JSON.parse(text) as WhisperReference;
}

/** The files of a model's folder, with the hashes that they have now. */
export async function filesOf(folder: string): Promise<EngineFile[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = found
    .filter((file) => file.isFile() && file.name !== "reference.json")
    .map((file) => join(file.parentPath, file.name))
    .toSorted();
  return Promise.all(
    paths.map(async (path) => {
      const sha256 = createHash("sha256")
        .update(await readFile(path))
        .digest("hex");
      return { path, sha256 };
    }),
  );
}

/** The 16-bit samples of a prompt of the reference. */
export async function readPrompt(name: string): Promise<Int16Array> {
  const bytes = await readFile(new URL(`../../fixtures/egemaps/${name}.wav`, import.meta.url));
  const at = bytes.indexOf("data") + 8;
  const samples = new Int16Array((bytes.length - at) >> 1);
  for (let i = 0; i < samples.length; i += 1) samples[i] = bytes.readInt16LE(at + 2 * i);
  return samples;
}

export function toFloat(samples: Int16Array): Float32Array {
  return Float32Array.from(samples, (sample) => sample / 32_768);
}

/** What a manifest says of a tiny model. */
export interface TinyModelEntry {
  name: string;
  files: { path: string; bytes: number; sha256: string }[];
  [more: string]: unknown;
}

/** What is installed of a tiny model, and the manifest that has it. */
export interface TinyModel {
  /** Path of the manifest. */
  manifest: string;
  /** Folder of models. */
  models: string;
  /** Folder of this one's files. */
  installed: string;
  entry: TinyModelEntry;
}

/** Installs the tiny Whisper in a folder of models, as `npm run models` would, and writes a manifest that has it. */
export function installTinyWhisper(
  folder: string,
  more: Partial<TinyModelEntry> = {},
): Promise<TinyModel> {
  return installTinyModel(tinyWhisperFolder, folder, { name: "whisper-tiny-random", ...more });
}

/** As `installTinyWhisper`, with the model that lies in `source`. */
export async function installTinyModel(
  source: string,
  folder: string,
  more: Partial<TinyModelEntry> & { name: string },
): Promise<TinyModel> {
  const files = await filesOf(source);
  const entry: TinyModelEntry = {
    version: "1",
    task: "transcribe",
    source: { type: "huggingface", repo: "someone/tiny", revision: "a".repeat(40) },
    files: await Promise.all(
      files.map(async ({ path, sha256 }) => {
        const { size } = await stat(path);
        return { path: relative(source, path), bytes: size, sha256 };
      }),
    ),
    licence: "Apache-2.0",
    commercial_use: true,
    memory_mb: 10,
    ...more,
  };
  const models = join(folder, "models");
  const installed = join(models, `${entry.name}@1`);
  await cp(source, installed, { recursive: true });
  const manifest = join(folder, "manifest.json");
  await writeFile(manifest, JSON.stringify({ models: [entry] }));
  return { manifest, models, installed, entry };
}
