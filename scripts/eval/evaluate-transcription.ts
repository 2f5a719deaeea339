import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Engine } from "../../shared/contracts/analysis-result.ts";
import { createAnalyzer } from "../../regions/speech/analyze.ts";
import { createDecoder } from "../../regions/speech/decode/decoder.ts";
import { createFeaturesThread } from "../../regions/speech/features/create-features-thread.ts";
import { createInferenceThread } from "../../regions/speech/inference/create-inference-thread.ts";
import { loadManifest } from "../../regions/speech/models/load-manifest.ts";
import { createEngines } from "../../regions/speech/transcription/choose-engine.ts";
import { createTranscriber } from "../../regions/speech/transcription/create-transcriber.ts";
import { countWordErrors, normaliseWords } from "./count-word-errors.ts";

export interface ClipTranscription {
  clip: string;
  reference: string;
  heard: string;
  words: number;
  errors: number;
}

export interface TranscriptionEvaluation {
  engine: Engine;
  clips: ClipTranscription[];
  audio_s: number;
  /** Time that the engine worked. */
  compute_s: number;
}

export interface EvaluateTranscriptionOptions {
  /** Folder of CLIP.wav, with transcripts.tsv in it or beside it; the prompts that ship when absent. */
  dir?: string | undefined;
  /** What is said in them, lines `clip<TAB>words`; transcripts.tsv in the folder or beside it when absent. */
  tsv?: string | undefined;
  /** As a request names it; the best that is installed when absent. */
  model?: string | undefined;
  /** ISO 639-1; found out when absent, by engines that can. */
  language?: string | undefined;
  signal: AbortSignal;
  onClip?: (clip: ClipTranscription) => void;
}

const fixtures = join(import.meta.dirname, "../../test/fixtures/egemaps");
const NAME = "transcripts.tsv";

/**
 * Transcribes every recording of a folder that has a reference, the way the product does it, and counts the words it got wrong.
 * @throws {Error} the engine is not installed, or there is no reference
 */
export async function evaluateTranscription({
  dir = fixtures,
  tsv,
  model,
  language,
  signal,
  onClip,
}: EvaluateTranscriptionOptions): Promise<TranscriptionEvaluation> {
  const reference = await readReference(dir, tsv);
  const decoder = createDecoder();
  const inference = createInferenceThread();
  const features = createFeaturesThread();
  const manifest = loadManifest(
    process.env["ANTIPHON_MODELS_MANIFEST"],
    process.env["ANTIPHON_MODELS_DIR"],
  );
  const engines = createEngines({ manifest, searchPath: process.env["PATH"] ?? "" });
  const transcriber = createTranscriber({ engines });
  const analyzer = createAnalyzer({ decoder, inference, features, transcriber, manifest });
  const clips: ClipTranscription[] = [];
  let engine: Engine | undefined;
  let audio_s = 0;
  let compute_s = 0;
  try {
    for (const [clip, said] of reference) {
      const path = join(dir, `${clip}.wav`);
      if (!(await isThere(path))) continue;
      const result = await analyzer.analyze(path, {
        parts: ["transcript"],
        model,
        language,
        signal,
      });
      const { transcript } = result;
      if (transcript === undefined || "status" in transcript) {
        throw new Error(
          `${transcript?.reason ?? "There is no transcript."} ${transcript?.install ?? ""}`,
        );
      }
      engine = result.engines["transcribe"];
      audio_s += result.audio.duration_s;
      compute_s += (result.timings_ms["transcribe"] ?? 0) / 1000;
      const words = normaliseWords(said);
      const errors = countWordErrors(words, normaliseWords(transcript.text));
      const done = { clip, reference: said, heard: transcript.text, words: words.length, errors };
      clips.push(done);
      onClip?.(done);
    }
  } finally {
    await Promise.all([decoder, inference, features, transcriber].map((part) => part.close()));
  }
  if (engine === undefined) throw new Error(`No recording of the reference is in ${dir}.`);
  return { engine, clips, audio_s, compute_s };
}

/** Lines `clip<TAB>words`. */
async function readReference(
  dir: string,
  tsv: string | undefined,
): Promise<[clip: string, words: string][]> {
  const inside = join(dir, NAME);
  const file = tsv ?? ((await isThere(inside)) ? inside : join(dir, "..", NAME));
  const lines = (await readFile(file, "utf8")).split(/\r?\n/).filter((line) => line !== "");
  return lines.map((line) => {
    const [clip, words] = line.split("\t");
    // The name becomes part of a path.
    if (clip === undefined || words === undefined || !/^[\w-][\w.-]*$/.test(clip)) {
      throw new Error(`${file} has a line that is not clip, tab, words: ${line.slice(0, 80)}`);
    }
    return [clip, words];
  });
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
