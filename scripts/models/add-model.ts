import { readFile } from "node:fs/promises";
import { z } from "zod";
import { ModelEntry } from "../../regions/speech/models/model-entry.ts";
import type { PinnedModel } from "../../regions/speech/models/model-entry.ts";
import { pinModel, writeWhole } from "./pin-model.ts";
import type { PinOptions } from "./pin-model.ts";
import { PullError } from "./pull-error.ts";

export interface AddOptions extends PinOptions {
  /** The manifest of one's own; made when it is not there. */
  manifest: string;
}

export interface NewModel {
  repo: string;
  revision: string;
  task: string;
  name: string;
  version?: string | undefined;
  files: readonly string[];
  licence?: string | undefined;
  commercialUse?: boolean | undefined;
  memoryMb?: number | undefined;
}

/** How the hub calls licences that let one earn money, and their SPDX names. */
const freeLicences: Readonly<Record<string, string>> = {
  "apache-2.0": "Apache-2.0",
  mit: "MIT",
  "bsd-2-clause": "BSD-2-Clause",
  "bsd-3-clause": "BSD-3-Clause",
  "cc0-1.0": "CC0-1.0",
  "cc-by-3.0": "CC-BY-3.0",
  "cc-by-4.0": "CC-BY-4.0",
  "cc-by-sa-3.0": "CC-BY-SA-3.0",
  "cc-by-sa-4.0": "CC-BY-SA-4.0",
};

/** A manifest as it lies on the disk; its other models are written back as they were. */
const Written = z.looseObject({ models: z.array(z.looseObject({ name: z.string() })) });

/**
 * Asks the hub what a model is, and writes it with commit and hashes into a manifest of one's own. Nothing large is fetched:
 * `pull` does that, held to what was written.
 *
 * @throws {PullError}
 */
export async function addModel(model: NewModel, options: AddOptions): Promise<PinnedModel> {
  const { name, task, repo, revision } = model;
  const before = await readWritten(options.manifest);
  if (before.models.some((known) => known.name.toLowerCase() === name.toLowerCase())) {
    throw new PullError(`${options.manifest} has a model ${name} already.`);
  }
  const draft = {
    name,
    version: model.version ?? revision.slice(0, 12),
    task,
    source: { type: "huggingface", repo, revision },
    files: model.files.map((path) => ({ path })),
    licence: "LicenseRef-unknown",
    commercial_use: false,
    memory_mb: 1,
  };
  const parsed = ModelEntry.safeParse(draft);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
    throw new PullError(`That is no model:\n  ${faults.join("\n  ")}`);
  }
  const { entry, revision: found } = await pinModel(parsed.data, options);
  const { pinned_at: _, ...pinned } = entry;
  const card = found?.licence?.toLowerCase() ?? "";
  const bytes = entry.files.reduce((sum, file) => sum + file.bytes, 0);
  const added = ModelEntry.parse({
    ...pinned,
    licence:
      model.licence ??
      freeLicences[card] ??
      `LicenseRef-${card.replaceAll(/[^a-z0-9.-]/g, "-") || "unknown"}`,
    commercial_use: model.commercialUse ?? (model.licence === undefined && card in freeLicences),
    memory_mb: model.memoryMb ?? Math.ceil((2 * bytes) / 1e6),
    ...(model.memoryMb === undefined
      ? { unverified: "memory_mb is an estimate: twice what the files are long." }
      : {}),
  }) as PinnedModel;
  await writeWhole(options.manifest, { ...before, models: [...before.models, added] });
  return added;
}

async function readWritten(file: string): Promise<z.infer<typeof Written>> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return '{"models":[]}';
    throw error;
  });
  try {
    return Written.parse(JSON.parse(text));
  } catch {
    throw new PullError(`${file} is not a manifest of models; it was left as it is.`);
  }
}
