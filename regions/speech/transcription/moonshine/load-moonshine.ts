import { findFile, readJson } from "../neural/model-files.ts";
import type { EngineFile } from "../neural/model-files.ts";
import { openGraphs, openTokenizer, textBy } from "../neural/open-graphs.ts";
import { createOnnxRuntime } from "./create-onnx-runtime.ts";
import type { MoonshineRuntime } from "./create-onnx-runtime.ts";
import { readMoonshineModel } from "./moonshine-model.ts";
import type { MoonshineModel } from "./moonshine-model.ts";

export interface LoadedMoonshine {
  model: MoonshineModel;
  runtime: MoonshineRuntime;
  /** Text of tokens; those that stand for no text leave none. */
  textOf(tokens: readonly number[]): string;
  release(): Promise<void>;
}

/**
 * Loads a Moonshine model from its files, each checked against its hash: `config.json`, `tokenizer.json`, and its graphs (see
 * `openGraphs`).
 *
 * @param threads that one run may use on the CPU
 * @throws {ModelFaultError}
 */
export async function loadMoonshine(
  files: readonly EngineFile[],
  threads: number,
): Promise<LoadedMoonshine> {
  const tokenizer = openTokenizer(await readJson(findFile(files, "tokenizer.json")), "Moonshine");
  const model = readMoonshineModel(await readJson(findFile(files, "config.json")));
  const graphs = await openGraphs(files, threads);
  try {
    const runtime = createOnnxRuntime(graphs, model);
    return { model, runtime, textOf: textBy(tokenizer), release: graphs.release };
  } catch (error) {
    await graphs.release();
    throw error;
  }
}
