import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { ModelEntry, ModelManifest } from "./load-manifest.ts";

/** A model file that is here; its hash is checked when it is loaded. */
export interface ModelFile {
  name: string;
  version: string;
  path: string;
  sha256: string;
}

export type ResolvedModel =
  | { status: "ready"; model: ModelFile }
  | { status: "unavailable"; reason: string; install?: string };

/** Finds the file of the first model for a task without running any code of the package that brings it. */
export function resolveModel(manifest: ModelManifest, task: ModelEntry["task"]): ResolvedModel {
  const entry = manifest.models.find((model) => model.task === task);
  if (entry === undefined) {
    return { status: "unavailable", reason: `No model for ${task} is in the manifest.` };
  }
  // Packages need not export their model files, so the folders that Node would search are searched for it.
  const folders = createRequire(import.meta.url).resolve.paths(entry.source.package) ?? [];
  const path = folders
    .map((folder) => join(folder, entry.source.package, entry.source.file))
    .find((candidate) => existsSync(candidate));
  if (path === undefined) {
    return {
      status: "unavailable",
      reason: `The file of the model ${entry.name} is not installed.`,
      install: "npm ci",
    };
  }
  return {
    status: "ready",
    model: { name: entry.name, version: entry.version, path, sha256: entry.sha256 },
  };
}
