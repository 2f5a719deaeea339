import type { ModelManifest } from "../../regions/speech/models/load-manifest.ts";
import { isPinned } from "../../regions/speech/models/model-entry.ts";
import type { ModelEntry } from "../../regions/speech/models/model-entry.ts";
import { installCommand } from "../../regions/speech/models/models-folder.ts";
import { checkModel, type ModelCheck } from "./check-model.ts";
import { formatBytes } from "./create-download-progress.ts";

/** A model of the manifest and how it stands here. */
export interface ListedModel extends ModelCheck {
  entry: ModelEntry;
}

/** How each model of a manifest stands, in the order of the manifest. */
export async function listModels(
  { models, unusable }: ModelManifest,
  folder: string,
  hash: (path: string) => Promise<string>,
): Promise<ListedModel[]> {
  const listed: ListedModel[] = [];
  for (const entry of models) {
    const fault = unusable?.get(entry.name);
    const check: ModelCheck =
      fault === undefined
        ? await checkModel(entry, folder, hash)
        : { state: "damaged", folder: undefined, faults: [{ path: "pins", fault }] };
    listed.push({ entry, ...check });
  }
  return listed;
}

/** One object for programs. */
export function toJson(models: ListedModel[], folder: string): object {
  return {
    models_folder: folder,
    models: models.map(({ entry, state, folder: at, faults }) => ({
      name: entry.name,
      task: entry.task,
      version: entry.version,
      source: entry.source,
      licence: entry.licence,
      commercial_use: entry.commercial_use,
      bytes: sizeOf(entry) ?? null,
      memory_mb: entry.memory_mb,
      pinned: pinnedBy(entry),
      ...(entry.unverified === undefined ? {} : { unverified: entry.unverified }),
      state,
      folder: at ?? null,
      faults,
      ...(state === "ready" ? {} : { install: installCommand(entry) }),
    })),
  };
}

/** A table for people, and below it the commands that bring what is not ready. */
export function toTable(models: ListedModel[]): string {
  const rows = [
    ["name", "task", "version", "licence", "commercial", "size", "memory", "pinned by", "state"],
    ...models.map(({ entry, state }) => [
      entry.name,
      entry.task,
      entry.version,
      entry.licence,
      entry.commercial_use ? "yes" : "no",
      formatSize(sizeOf(entry)),
      formatBytes(entry.memory_mb * 1e6),
      pinnedBy(entry),
      state,
    ]),
  ];
  const widths = rows[0]?.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths?.[at] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const missing = models.filter(({ state }) => state !== "ready");
  if (missing.length > 0) lines.push("");
  for (const { entry, state, faults } of missing) {
    const pins = faults.find(({ path }) => path === "pins");
    lines.push(
      pins === undefined
        ? `${entry.name} is ${state}; to install it: ${installCommand(entry)}`
        : `${entry.name} cannot be used: ${pins.fault}`,
    );
  }
  return lines.join("\n");
}

/** Bytes of all files; undefined until they are known. */
function sizeOf(entry: ModelEntry): number | undefined {
  return isPinned(entry) ? entry.files.reduce((sum, { bytes }) => sum + bytes, 0) : undefined;
}

function formatSize(bytes: number | undefined): string {
  return bytes === undefined ? "?" : formatBytes(bytes);
}

/** What its files are held to: hashes of the manifest, those that the hub gave to the first pull, or none yet. */
function pinnedBy(entry: ModelEntry): string {
  if (!isPinned(entry)) return "nothing yet";
  return entry.pinned_at === undefined ? "manifest" : "first pull";
}
