import { readFileSync } from "node:fs";
import { z } from "zod";
import { ModelEntry } from "./model-entry.ts";
import { applyPins, PinsError } from "./model-pins.ts";
import { defaultModelsFolder } from "./models-folder.ts";

const Manifest = z.strictObject({
  models: z
    .array(ModelEntry)
    .refine(
      (models) => new Set(models.map(({ name }) => name.toLowerCase())).size === models.length,
      "two models have the same name",
    ),
});

/** The models to choose from, and where they are installed. */
export interface ModelManifest {
  models: readonly ModelEntry[];
  /** Models whose pins cannot be read, by name, and why: they are not used, and not pinned anew. */
  unusable?: ReadonlyMap<string, string>;
  /** The default folder when absent. */
  folder?: string;
}

/** Thrown when a manifest cannot be read or says something that no manifest may. */
export class ManifestError extends Error {
  override readonly name = "ManifestError";
}

const shipped = new URL("./manifest.json", import.meta.url);

/**
 * The models that the project knows, and those of a manifest of one's own. One's own come first, so a task takes them
 * before what ships, and one of the same name replaces the one that ships. What a first pull pinned is filled in.
 *
 * @param own path of a manifest in the form of the one that ships
 * @param folder where models are installed
 * @throws {ManifestError}
 */
export function loadManifest(own?: string, folder = defaultModelsFolder): ModelManifest {
  const known = readManifest(shipped).models;
  const first = own === undefined ? [] : readManifest(own).models;
  const names = new Set(first.map(({ name }) => name.toLowerCase()));
  const tasks = new Set(first.map(({ task }) => task));
  const others = known
    .filter(({ name }) => !names.has(name.toLowerCase()))
    // Where somebody has a model of their own for a task, that one is proposed.
    .map((entry) => (tasks.has(entry.task) ? { ...entry, suggested: false } : entry));
  const listed = [...first, ...others];
  const unusable = new Map<string, string>();
  const models = listed.map((entry) => {
    try {
      return applyPins(entry, folder);
    } catch (error) {
      // One broken file must not take the other models away.
      if (!(error instanceof PinsError)) throw error;
      unusable.set(entry.name, error.message);
      return entry;
    }
  });
  return { models, unusable, folder };
}

function readManifest(file: URL | string): z.infer<typeof Manifest> {
  const name = file instanceof URL ? "manifest.json" : file;
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new ManifestError(
      `The manifest of models ${name} cannot be read: ${(error as Error).message}`,
    );
  }
  const parsed = Manifest.safeParse(json);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new ManifestError(`The manifest of models ${name} is not valid:\n  ${faults.join("\n  ")}`);
}
