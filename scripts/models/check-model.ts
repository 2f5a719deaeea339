import { stat } from "node:fs/promises";
import { join } from "node:path";
import { isPinned } from "../../regions/speech/models/model-entry.ts";
import type { ModelEntry } from "../../regions/speech/models/model-entry.ts";
import { folderOf } from "../../regions/speech/models/models-folder.ts";

/** What is wrong with a file of a model. */
export interface FileFault {
  path: string;
  fault: string;
}

export interface ModelCheck {
  state: "ready" | "not installed" | "damaged";
  /** Where it is, or would be; undefined when the package that brings it is not here. */
  folder: string | undefined;
  faults: FileFault[];
}

/** Whether the files of a model are what its manifest says, or the pins of its first pull; without either it is not installed. `hash` tells what a file hashes to. */
export async function checkModel(
  entry: ModelEntry,
  modelsFolder: string,
  hash: (path: string) => Promise<string>,
): Promise<ModelCheck> {
  const folder = folderOf(entry, modelsFolder);
  if (folder === undefined || !isPinned(entry))
    return { state: "not installed", folder, faults: [] };
  const faults: FileFault[] = [];
  let missing = 0;
  for (const { path, bytes, sha256 } of entry.files) {
    const file = join(folder, path);
    const stats = await stat(file).catch(() => undefined);
    if (stats === undefined) {
      missing += 1;
      faults.push({ path, fault: "is missing" });
    } else if (!stats.isFile()) {
      faults.push({ path, fault: "is no file" });
    } else if (stats.size !== bytes) {
      faults.push({ path, fault: `has ${stats.size} bytes instead of ${bytes}` });
    } else {
      const actual = await hash(file);
      if (actual !== sha256) {
        faults.push({ path, fault: `has the SHA-256 ${actual} instead of ${sha256}` });
      }
    }
  }
  if (faults.length === 0) return { state: "ready", folder, faults };
  return missing === entry.files.length
    ? { state: "not installed", folder, faults: [] }
    : { state: "damaged", folder, faults };
}
