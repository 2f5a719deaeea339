import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { InferenceSession } from "onnxruntime-node";
import { createOnnxRuntime } from "./create-onnx-runtime.ts";
import { checkHash, findFile, readChecked, readJson, unreadable } from "./model-files.ts";
import type { WhisperFile } from "./model-files.ts";
import { WhisperModelError } from "./whisper-error.ts";
import { readWhisperModel } from "./whisper-model.ts";
import type { WhisperModel } from "./whisper-model.ts";
import type { WhisperRuntime } from "./whisper-runtime.ts";

export interface LoadedWhisper {
  model: WhisperModel;
  runtime: WhisperRuntime;
  /** Text of tokens; those that stand for no text leave none. */
  textOf(tokens: readonly number[]): string;
  release(): Promise<void>;
}

export interface LoadWhisperOptions {
  /** Threads that one run may use on the CPU. */
  threads: number;
}

/** Larger graphs are not held in memory a second time. */
const LARGEST_IN_MEMORY = 1024 ** 3;

/**
 * Loads a Whisper model from its files, each checked against its hash: `config.json`, `generation_config.json`,
 * `preprocessor_config.json`, `tokenizer.json`, an `encoder_model*.onnx` and a `decoder_model_merged*.onnx`. Further files are
 * taken for what the graphs keep outside of them.
 *
 * @throws {WhisperModelError}
 */
export async function loadWhisper(
  files: readonly WhisperFile[],
  { threads }: LoadWhisperOptions,
): Promise<LoadedWhisper> {
  const named = (name: string): WhisperFile => findFile(files, name);
  const tokenizerJson = await readJson(named("tokenizer.json"));
  const tokenizer = openTokenizer(tokenizerJson);
  const model = readWhisperModel(
    {
      config: await readJson(named("config.json")),
      generation: await readJson(named("generation_config.json")),
      preprocessor: await readJson(named("preprocessor_config.json")),
    },
    (token) => tokenizer.token_to_id(token),
  );
  const encoderFile = findFile(files, "encoder_model.onnx", (name) =>
    /^encoder_model.*\.onnx$/.test(name),
  );
  const decoderFile = findFile(files, "decoder_model_merged.onnx", (name) =>
    /^decoder_model_merged.*\.onnx$/.test(name),
  );
  // What lies outside of the graphs is checked first, since they load it by themselves.
  const outside = files.filter(({ path }) => /\.onnx_data(?:_\d+)?$/.test(path));
  for (const file of outside) await checkHash(file);
  const opened: InferenceSession[] = [];
  const open = async (file: WhisperFile): Promise<InferenceSession> => {
    const name = basename(file.path);
    const session = await openGraph(
      file,
      outside.some(({ path }) => basename(path).startsWith(name)),
      threads,
    );
    opened.push(session);
    return session;
  };
  const release = async (): Promise<void> => {
    await Promise.all(opened.map((session) => session.release()));
  };
  try {
    const encoder = await open(encoderFile);
    const decoder = await open(decoderFile);
    const runtime = createOnnxRuntime({ encoder, decoder }, model);
    const textOf = (tokens: readonly number[]): string =>
      tokenizer.decode([...tokens], {
        skip_special_tokens: true,
        clean_up_tokenization_spaces: false,
      });
    return { model, runtime, textOf, release };
  } catch (error) {
    await release();
    throw error;
  }
}

function openTokenizer(json: unknown): Tokenizer {
  try {
    return new Tokenizer(json as object, { clean_up_tokenization_spaces: false });
  } catch (error) {
    throw new WhisperModelError(
      "mismatch",
      `The model's tokenizer.json is not what a Whisper model has: ${messageOf(error)}`,
    );
  }
}

async function openGraph(
  file: WhisperFile,
  hasOutside: boolean,
  threads: number,
): Promise<InferenceSession> {
  const name = basename(file.path);
  const { size } = await stat(file.path).catch(() => {
    throw unreadable(file);
  });
  let source: Buffer | string;
  if (hasOutside || size > LARGEST_IN_MEMORY) {
    // The graph finds what lies beside it only by its path.
    await checkHash(file);
    source = file.path;
  } else {
    source = await readChecked(file);
  }
  const options: InferenceSession.SessionOptions = {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
  };
  try {
    return typeof source === "string"
      ? await InferenceSession.create(source, options)
      : await InferenceSession.create(source, options);
  } catch (error) {
    throw new WhisperModelError(
      "corrupt",
      `The model's ${name} cannot be loaded: ${messageOf(error)}`,
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
