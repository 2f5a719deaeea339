import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { InferenceSession } from "onnxruntime-node";
import { checkHash, findFile, readChecked, unreadable } from "./model-files.ts";
import type { EngineFile } from "./model-files.ts";
import { ModelFaultError } from "./model-fault.ts";

/** The two graphs of a model that hears with one and speaks with the other. */
export interface Graphs {
  encoder: InferenceSession;
  decoder: InferenceSession;
  release(): Promise<void>;
}

/** Larger graphs are not held in memory a second time. */
const LARGEST_IN_MEMORY = 1024 ** 3;

/**
 * Opens an `encoder_model*.onnx` and a `decoder_model_merged*.onnx`, each checked against its hash, as are files that they
 * keep weights in (`*.onnx_data`).
 *
 * @param threads that one run may use on the CPU
 * @throws {ModelFaultError} `missing` or `corrupt`
 */
export async function openGraphs(files: readonly EngineFile[], threads: number): Promise<Graphs> {
  const encoderFile = findFile(files, "encoder_model.onnx", (name) =>
    /^encoder_model.*\.onnx$/.test(name),
  );
  const decoderFile = findFile(files, "decoder_model_merged.onnx", (name) =>
    /^decoder_model_merged.*\.onnx$/.test(name),
  );
  // What lies outside of the graphs is checked first, since they load it by themselves.
  const outside = files.filter(({ path }) => /\.onnx_data(?:_\d+)?$/.test(path));
  for (const file of outside) await checkHash(file);
  const open = (file: EngineFile): Promise<InferenceSession> => {
    const name = basename(file.path);
    const hasOutside = outside.some(({ path }) => basename(path).startsWith(name));
    return openGraph(file, hasOutside, threads);
  };
  const encoder = await open(encoderFile);
  try {
    const decoder = await open(decoderFile);
    const release = async (): Promise<void> => {
      await Promise.all([encoder.release(), decoder.release()]);
    };
    return { encoder, decoder, release };
  } catch (error) {
    await encoder.release();
    throw error;
  }
}

/** @param kind of model, for messages. @throws {ModelFaultError} `mismatch` */
export function openTokenizer(json: unknown, kind: string): Tokenizer {
  try {
    return new Tokenizer(json as object, { clean_up_tokenization_spaces: false });
  } catch (error) {
    throw new ModelFaultError(
      "mismatch",
      `The model's tokenizer.json is not what a ${kind} model has: ${messageOf(error)}`,
    );
  }
}

/** Text of tokens; those that stand for no text leave none. */
export function textBy(tokenizer: Tokenizer): (tokens: readonly number[]) => string {
  const how = { skip_special_tokens: true, clean_up_tokenization_spaces: false };
  return (tokens) => tokenizer.decode([...tokens], how);
}

async function openGraph(
  file: EngineFile,
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
    throw new ModelFaultError(
      "corrupt",
      `The model's ${name} cannot be loaded: ${messageOf(error)}`,
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
