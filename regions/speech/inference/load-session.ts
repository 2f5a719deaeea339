import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { InferenceSession } from "onnxruntime-node";
import type { ModelFile } from "../models/resolve-model.ts";
import { InferenceError } from "./inference-error.ts";

/**
 * Loads a model from the very bytes whose hash was checked.
 * @throws {InferenceError} `model_unreadable`, `model_hash_mismatch`
 */
export async function loadSession(model: ModelFile): Promise<InferenceSession> {
  const bytes = await readFile(model.path).catch(() => {
    throw new InferenceError(
      "model_unreadable",
      `The file of the model ${model.name} cannot be read.`,
    );
  });
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  if (sha256 !== model.sha256) {
    throw new InferenceError(
      "model_hash_mismatch",
      `The file of the model ${model.name} has the SHA-256 ${sha256}, but the manifest says ${model.sha256}.`,
    );
  }
  return InferenceSession.create(bytes, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
  });
}
