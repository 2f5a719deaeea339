import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { basename } from "node:path";
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

/** Larger graphs are not held in memory a second time. */
const LARGEST_IN_MEMORY = 1024 ** 3;

/**
 * Loads a model from the very bytes whose hash was checked. A graph with weights in files beside it, and one that is very
 * large, is loaded by its path, after all of them were checked.
 * @throws {InferenceError} `model_unreadable`, `model_hash_mismatch`, `model_mismatch`
 */
export async function loadSession(
  model: RuntimeModel,
  { threads, cpuOnly }: SessionOptions,
): Promise<InferenceSession> {
  const { outside = [] } = model;
  for (const file of outside) await checkHash(model.name, file);
  const source = await readGraph(model, outside.length > 0);
  const session = await create(model, source, threads, cpuOnly);
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

/** The bytes of a graph, or its path where it has to find other files or is too large to be read. */
async function readGraph(model: RuntimeModel, byPath: boolean): Promise<Uint8Array | string> {
  const { size } = await stat(model.path).catch(() => {
    throw unreadable(model.name);
  });
  if (byPath || size > LARGEST_IN_MEMORY) {
    await checkHash(model.name, model);
    return model.path;
  }
  const bytes = await readFile(model.path).catch(() => {
    throw unreadable(model.name);
  });
  expectHash(model.name, model, createHash("sha256").update(bytes).digest("hex"));
  return bytes;
}

async function checkHash(name: string, file: Pick<RuntimeModel, "path" | "sha256">): Promise<void> {
  const hash = createHash("sha256");
  try {
    for await (const bytes of createReadStream(file.path, { highWaterMark: 1024 * 1024 })) {
      hash.update(bytes as Buffer);
    }
  } catch {
    throw unreadable(name);
  }
  expectHash(name, file, hash.digest("hex"));
}

function expectHash(
  name: string,
  { path, sha256 }: Pick<RuntimeModel, "path" | "sha256">,
  found: string,
): void {
  if (found === sha256) return;
  throw new InferenceError(
    "model_hash_mismatch",
    `The file ${basename(path)} of the model ${name} has the SHA-256 ${found}, but it should have ${sha256}.`,
  );
}

function unreadable(name: string): InferenceError {
  return new InferenceError("model_unreadable", `A file of the model ${name} cannot be read.`);
}

async function create(
  model: RuntimeModel,
  source: Uint8Array | string,
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
      return await open(source, { ...options, executionProviders: providers });
    } catch {
      // Libraries without a GPU or its driver: the CPU does it, and says what is wrong with the model if it is the model.
    }
  }
  try {
    return await open(source, { ...options, executionProviders: ["cpu"] });
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    throw new InferenceError(
      "model_unreadable",
      `The model ${model.name} cannot be loaded: ${cause}`,
    );
  }
}

function open(
  source: Uint8Array | string,
  options: InferenceSession.SessionOptions,
): Promise<InferenceSession> {
  return typeof source === "string"
    ? InferenceSession.create(source, options)
    : InferenceSession.create(source, options);
}
