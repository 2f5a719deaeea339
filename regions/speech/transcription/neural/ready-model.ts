import { createHash } from "node:crypto";
import type { Engine } from "../../../../shared/contracts/analysis-result.ts";
import type { ModelEntry } from "../../models/model-entry.ts";
import type { EngineFile } from "./model-files.ts";

/** As `resolveModel` gives a model that is here. */
export interface ReadyModelFiles {
  entry: Pick<ModelEntry, "name" | "version">;
  files: ReadonlyMap<string, EngineFile>;
  /** The command that installs it again. */
  install?: string | undefined;
}

/** Names the model, with a hash over all of its files, in the manifest's order. */
export function describeModel({ entry, files }: ReadyModelFiles): Engine {
  const hashes = Array.from(files.values(), ({ sha256 }) => sha256);
  return {
    name: entry.name,
    version: entry.version,
    model_sha256: createHash("sha256").update(hashes.join("\n")).digest("hex"),
  };
}
