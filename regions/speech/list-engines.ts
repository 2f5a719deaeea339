import type { ModelInfo, ModelList } from "../../shared/contracts/models.ts";
import type { ModelManifest } from "./models/load-manifest.ts";
import { listModels } from "./models/list-models.ts";
import { FLITE_SHA256, FLITE_VERSION } from "./synthesis/flite/load-flite-module.ts";
import { findPocketsphinx } from "./transcription/pocketsphinx/find-pocketsphinx.ts";

/** What can be asked of this machine: the models of its manifest, and the engines that need none of them. */
export function listEngines(manifest: ModelManifest, searchPath: string): ModelList {
  return { object: "list", data: [...listModels(manifest), flite(), pocketsphinx(searchPath)] };
}

const engine = {
  object: "model",
  model_sha256: null,
  quality: "fallback",
  commercial_use: true,
} as const;

/** Of the package that holds it. */
const FLITE_PUBLISHED_S = Date.parse("2024-12-13T09:02:59Z") / 1000;

function flite(): ModelInfo {
  return {
    ...engine,
    created: FLITE_PUBLISHED_S,
    languages: ["en"],
    id: "flite",
    owned_by: "echogarden",
    task: "synthesize",
    version: FLITE_VERSION,
    model_sha256: FLITE_SHA256,
    licence: "BSD-4-Clause",
    memory_mb: 64,
    installed: true,
  };
}

function pocketsphinx(searchPath: string): ModelInfo {
  const found = findPocketsphinx({ searchPath });
  return {
    ...engine,
    created: 0,
    languages: ["en"],
    id: "pocketsphinx",
    owned_by: "cmusphinx",
    task: "transcribe",
    version: "system",
    licence: "BSD-2-Clause",
    memory_mb: 256,
    ...("status" in found
      ? { installed: false, reason: found.reason, ...(found.install && { install: found.install }) }
      : { installed: true }),
  };
}
