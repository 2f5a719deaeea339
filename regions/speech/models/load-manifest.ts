import { readFileSync } from "node:fs";
import { z } from "zod";
import { ModelEntry } from "./model-entry.ts";
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
 * before what ships, and one of the same name replaces the one that ships.
 *
 * @param own path of a manifest in the form of the one that ships
 * @param folder where models are installed
 * @throws {ManifestError}
 */
export function loadManifest(own?: string, folder = defaultModelsFolder): ModelManifest {
  const known = readManifest(shipped).models;
  const first = own === undefined ? [] : readManifest(own).models;
  const names = new Set(first.map(({ name }) => name.toLowerCase()));
  const models = [...first, ...known.filter(({ name }) => !names.has(name.toLowerCase()))];
  return { models, folder };
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
