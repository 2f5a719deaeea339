import { findFile, readJson } from "../neural/model-files.ts";
import type { EngineFile } from "../neural/model-files.ts";
import { readGeneration } from "./whisper-model.ts";

/** Languages that a Whisper model knows, without loading it. @throws {ModelFaultError} */
export async function readLanguages(files: readonly EngineFile[]): Promise<readonly string[]> {
  const json = await readJson(findFile(files, "generation_config.json"));
  const { languages } = readGeneration(json);
  return languages.size === 0 ? ["en"] : [...languages.keys()];
}
