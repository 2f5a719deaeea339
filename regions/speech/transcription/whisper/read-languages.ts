import { findFile, readJson } from "./model-files.ts";
import type { WhisperFile } from "./model-files.ts";
import { readGeneration } from "./whisper-model.ts";

/** Languages that a Whisper model knows, without loading it. @throws {WhisperModelError} */
export async function readLanguages(files: readonly WhisperFile[]): Promise<readonly string[]> {
  const json = await readJson(findFile(files, "generation_config.json"));
  const { languages } = readGeneration(json);
  return languages.size === 0 ? ["en"] : [...languages.keys()];
}
