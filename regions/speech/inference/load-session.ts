import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { InferenceSession } from "onnxruntime-node";
import { findTensorFault } from "./check-tensors.ts";
import { findExecutionProviders } from "./execution-providers.ts";
import { InferenceError } from "./inference-error.ts";
import type { RuntimeModel } from "./runtime-model.ts";

export interface SessionOptions {
  /** Threads that one run of a model may use on the CPU. */
  threads: number;
  /** Never a GPU, even where there is one. */
  cpuOnly: boolean;
}

/**
 * Loads a model from the very bytes whose hash was checked.
 * @throws {InferenceError} `model_unreadable`, `model_hash_mismatch`, `model_mismatch`
 */
export async function loadSession(
  model: RuntimeModel,
  { threads, cpuOnly }: SessionOptions,
): Promise<InferenceSession> {
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
  const session = await create(model, bytes, threads, cpuOnly);
  const fault =
    (model.inputs && findTensorFault("input", model.inputs, session.inputMetadata)) ??
    (model.outputs && findTensorFault("output", model.outputs, session.outputMetadata));
  if (fault !== undefined) {
    await session.release();
    throw new InferenceError(
      "model_mismatch",
      `The model ${model.name} is not what the manifest says: ${fault}.`,
    );
  }
  return session;
}

async function create(
  model: RuntimeModel,
  bytes: Uint8Array,
  threads: number,
  cpuOnly: boolean,
): Promise<InferenceSession> {
  const options: InferenceSession.SessionOptions = {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
  };
  const providers = cpuOnly ? (["cpu"] as const) : findExecutionProviders();
  if (providers[0] === "cuda") {
    try {
      return await InferenceSession.create(bytes, { ...options, executionProviders: providers });
    } catch {
      // Libraries without a GPU or its driver: the CPU does it, and says what is wrong with the model if it is the model.
    }
  }
  try {
    return await InferenceSession.create(bytes, { ...options, executionProviders: ["cpu"] });
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    throw new InferenceError(
      "model_unreadable",
      `The model ${model.name} cannot be loaded: ${cause}`,
    );
  }
}
