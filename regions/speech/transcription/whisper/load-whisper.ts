import { findFile, readJson } from "../neural/model-files.ts";
import type { EngineFile } from "../neural/model-files.ts";
import { openGraphs, openTokenizer, textBy } from "../neural/open-graphs.ts";
import { createOnnxRuntime } from "./create-onnx-runtime.ts";
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

/**
 * Loads a Whisper model from its files, each checked against its hash: `config.json`, `generation_config.json`,
 * `preprocessor_config.json`, `tokenizer.json`, and its graphs (see `openGraphs`).
 *
 * @throws {ModelFaultError}
 */
export async function loadWhisper(
  files: readonly EngineFile[],
  { threads }: LoadWhisperOptions,
): Promise<LoadedWhisper> {
  const named = (name: string): Promise<unknown> => readJson(findFile(files, name));
  const tokenizer = openTokenizer(await named("tokenizer.json"), "Whisper");
  const model = readWhisperModel(
    {
      config: await named("config.json"),
      generation: await named("generation_config.json"),
      preprocessor: await named("preprocessor_config.json"),
    },
    (token) => tokenizer.token_to_id(token),
  );
  const { encoder, decoder, release } = await openGraphs(files, threads);
  try {
    const runtime = createOnnxRuntime({ encoder, decoder }, model);
    return { model, runtime, textOf: textBy(tokenizer), release };
  } catch (error) {
    await release();
    throw error;
  }
}
