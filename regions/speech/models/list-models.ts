import { statSync } from "node:fs";
import type { ModelInfo } from "../../../shared/contracts/models.ts";
import type { ModelManifest } from "./load-manifest.ts";
import { isPinned } from "./model-entry.ts";
import type { ModelEntry } from "./model-entry.ts";
import { resolveModel, type ResolvedModel } from "./resolve-model.ts";

/** Every model of a manifest for clients: what it is, and whether its files are here in full. Hashes are not read anew. */
export function listModels(manifest: ModelManifest): ModelInfo[] {
  return manifest.models.map((entry) => {
    const found = resolveModel(manifest, entry.task, { name: entry.name });
    const { languages, quality = "full" } = entry;
    return {
      id: entry.name,
      object: "model",
      created: createdAt(entry, found),
      owned_by: ownerOf(entry),
      task: entry.task,
      version: entry.version,
      model_sha256: entry.files[0]?.sha256 ?? null,
      licence: entry.licence,
      commercial_use: entry.commercial_use,
      quality,
      ...(languages === undefined ? {} : { languages }),
      memory_mb: entry.memory_mb,
      installed: found.status === "ready",
      ...(found.status === "ready"
        ? {}
        : {
            reason: found.reason,
            ...(found.install === undefined ? {} : { install: found.install }),
          }),
    };
  });
}

function createdAt(entry: ModelEntry, found: ResolvedModel): number {
  const at = entry.published ?? (isPinned(entry) ? entry.pinned_at : undefined);
  if (at !== undefined) return Math.floor(Date.parse(at) / 1000);
  return found.status === "ready" ? Math.floor(statSync(found.model.path).mtimeMs / 1000) : 0;
}

/** Who publishes it: the owner on the hub, or the scope or name of the package. */
function ownerOf({ source }: ModelEntry): string {
  const name = source.type === "npm" ? source.package.replace(/^@/, "") : source.repo;
  return name.split("/", 1)[0]!;
}
