import { statSync } from "node:fs";
import { join } from "node:path";
import type { ModelManifest } from "./load-manifest.ts";
import { isPinned } from "./model-entry.ts";
import type { ModelEntry, ModelTask, PinnedFile, PinnedModel } from "./model-entry.ts";
import { defaultModelsFolder, folderOf, installCommand } from "./models-folder.ts";

/** A model file that is here; its hash is checked when it is loaded. */
export interface ModelFile {
  name: string;
  version: string;
  path: string;
  sha256: string;
}

export interface ReadyModel {
  status: "ready";
  /** Its first file: all there is to a model of one graph. */
  model: ModelFile;
  /** All of its files, by their path in the manifest. */
  files: ReadonlyMap<string, ModelFile>;
  entry: PinnedModel;
}

export type ResolvedModel =
  | ReadyModel
  | { status: "unavailable"; reason: string; install?: string };

export interface ResolveOptions {
  /** Take this model and no other. */
  name?: string | undefined;
  /** Take only models that are so. */
  where?: ((entry: ModelEntry) => boolean) | undefined;
}

/**
 * Finds the files of a model for a task: the first of the manifest whose files are all here and as long as they should be.
 * No code of the package that brings it is run.
 */
export function resolveModel(
  manifest: ModelManifest,
  task: ModelTask,
  { name, where = () => true }: ResolveOptions = {},
): ResolvedModel {
  const { models, unusable, folder = defaultModelsFolder } = manifest;
  const entries = models.filter(
    (model) => model.task === task && (name === undefined || model.name === name) && where(model),
  );
  const found = entries.map((entry): ResolvedModel => {
    const fault = unusable?.get(entry.name);
    return fault === undefined
      ? resolveEntry(entry, folder)
      : { status: "unavailable", reason: `The model ${entry.name} cannot be used: ${fault}` };
  });
  return (
    found.find(({ status }) => status === "ready") ??
    found[
      Math.max(
        0,
        entries.findIndex(({ suggested }) => suggested === true),
      )
    ] ?? {
      status: "unavailable",
      reason:
        name === undefined
          ? `No model for ${task} is in the manifest.`
          : `No model ${name} for ${task} is in the manifest.`,
    }
  );
}

function resolveEntry(entry: ModelEntry, modelsFolder: string): ResolvedModel {
  const { name, version } = entry;
  if (!isPinned(entry)) {
    return {
      status: "unavailable",
      reason: `The model ${name} is not installed.`,
      install: installCommand(entry),
    };
  }
  const folder = folderOf(entry, modelsFolder);
  const sizes = entry.files.map(({ path }) =>
    folder === undefined ? undefined : sizeOf(join(folder, path)),
  );
  if (folder === undefined || sizes.every((size) => size === undefined)) {
    return {
      status: "unavailable",
      reason: `The model ${name} is not installed.`,
      install: installCommand(entry),
    };
  }
  const wrong = entry.files.find(({ bytes }, at) => sizes[at] !== bytes);
  if (wrong !== undefined) {
    const size = sizes[entry.files.indexOf(wrong)];
    return {
      status: "unavailable",
      reason: `The model ${name} is damaged: ${wrong.path} ${size === undefined ? "is missing" : `has ${size} bytes instead of ${wrong.bytes}`}.`,
      install: installCommand(entry),
    };
  }
  const files = new Map(
    entry.files.map(({ path, sha256 }): [string, ModelFile] => [
      path,
      { name, version, path: join(folder, path), sha256 },
    ]),
  );
  const [first] = entry.files as [PinnedFile, ...PinnedFile[]];
  const model = files.get(first.path);
  if (model === undefined) throw new TypeError("A model has no file.");
  return { status: "ready", model, files, entry };
}

function sizeOf(path: string): number | undefined {
  try {
    const stats = statSync(path);
    return stats.isFile() ? stats.size : undefined;
  } catch {
    return undefined;
  }
}
