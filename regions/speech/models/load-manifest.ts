import { readFileSync } from "node:fs";
import { z } from "zod";

/** A model as data: what it does, where its file comes from and what that file must hash to. */
export const ModelEntry = z.strictObject({
  name: z.string(),
  version: z.string(),
  task: z.enum(["voice_activity"]),
  source: z.discriminatedUnion("type", [
    z.strictObject({
      type: z.literal("npm"),
      package: z.string(),
      file: z.string().regex(/^(?!.*\.\.)[^/].*$/),
    }),
  ]),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  bytes: z.int().positive(),
  licence: z.string(),
  /** Memory of one loaded copy, MB. */
  memory_mb: z.number().positive(),
  inputs: z.record(z.string(), z.string()),
});
export type ModelEntry = z.infer<typeof ModelEntry>;

const Manifest = z.strictObject({ models: z.array(ModelEntry) });
export type ModelManifest = z.infer<typeof Manifest>;

/** Reads and checks a manifest; the one that ships with the project when no file is named. */
export function loadManifest(
  file: URL | string = new URL("./manifest.json", import.meta.url),
): ModelManifest {
  return Manifest.parse(JSON.parse(readFileSync(file, "utf8")));
}
