import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { isPinned, ModelPath, Sha256 } from "./model-entry.ts";
import type { ModelEntry, PinnedModel } from "./model-entry.ts";
import { folderName } from "./models-folder.ts";

/** What the first pull of a model found on the hub, and what every later use is held to. */
export const ModelPins = z.strictObject({
  repo: z.string(),
  /** As the manifest had it: a branch, a tag or a commit. */
  revision: z.string(),
  commit: z.string().regex(/^[0-9a-f]{40}$/),
  pinned_at: z.iso.datetime(),
  files: z
    .array(z.strictObject({ path: ModelPath, bytes: z.int().positive(), sha256: Sha256 }))
    .min(1)
    .max(500),
});
export type ModelPins = z.infer<typeof ModelPins>;

/** Thrown when there are pins and they cannot be read: a hub that is asked anew might be believed too much. */
export class PinsError extends Error {
  override readonly name = "PinsError";
}

/** Where the pins of a model lie: beside the models, so that they outlive what is installed. */
export function pinsFile(
  entry: Pick<ModelEntry, "name" | "version">,
  modelsFolder: string,
): string {
  return join(modelsFolder, ".pins", `${folderName(entry)}.json`);
}

/**
 * A model with what its first pull found. Where there are no pins, or those of another source or of other files, it is given
 * back as it is; what the manifest itself says is never replaced.
 *
 * @throws {PinsError}
 */
export function applyPins(entry: ModelEntry, modelsFolder: string): ModelEntry | PinnedModel {
  if (isPinned(entry) || entry.source.type === "npm") return entry;
  const pins = readPins(pinsFile(entry, modelsFolder));
  const { source } = entry;
  if (pins === undefined || pins.repo !== source.repo || pins.revision !== source.revision) {
    return entry;
  }
  const known = new Map(pins.files.map((file) => [file.path, file]));
  const files = entry.files.map((file) => ({ ...known.get(file.path), ...file }));
  const pinned = { ...entry, source: { ...source, revision: pins.commit }, files };
  return isPinned(pinned) ? { ...pinned, pinned_at: pins.pinned_at } : entry;
}

function readPins(file: string): ModelPins | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new PinsError(`${file} cannot be read: ${(error as Error).message}`);
  }
  try {
    return ModelPins.parse(JSON.parse(text));
  } catch {
    throw new PinsError(
      `${file} holds no pins any more. Put it back, or remove it to believe the hub anew.`,
    );
  }
}
