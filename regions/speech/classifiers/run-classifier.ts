import { Tensor } from "onnxruntime-node";
import type { InferenceSession } from "onnxruntime-node";
import { InferenceError } from "../inference/inference-error.ts";

/** Windows of one length for one model. */
export interface ClassifierInput {
  /** All windows, one after the other; shared memory, so they are not copied to the thread. */
  samples: Float32Array<SharedArrayBuffer>;
  windows: number;
  input: string;
  mask: string | undefined;
  normalize: "none" | "unit_variance";
  /** What is asked for, and how many figures it has for a window. */
  outputs: { name: string; width: number }[];
}

export interface ClassifierOutput {
  /** For each output its figures of all windows, one window after the other. */
  rows: Float32Array<ArrayBuffer>[];
  inference_ms: number;
}

/** Beside the variance, so that silence is not divided by nothing; as wav2vec 2.0's own preparation has it. */
const EPSILON = 1e-7;

/**
 * Runs a classifier once, on an inference thread.
 * @throws {InferenceError} `model_mismatch`: the graph has other inputs or outputs than the manifest says
 */
export async function runClassifier(
  session: InferenceSession,
  { samples, windows, input, mask, normalize, outputs }: ClassifierInput,
): Promise<ClassifierOutput> {
  expectGraph(session, input, mask, outputs);
  const length = samples.length / windows;
  // A copy: what it was made of may be wanted again.
  const signal = new Float32Array(samples);
  if (normalize === "unit_variance") {
    for (let at = 0; at < signal.length; at += length) {
      toUnitVariance(signal.subarray(at, at + length));
    }
  }
  const feeds: Record<string, Tensor> = {
    [input]: new Tensor("float32", signal, [windows, length]),
  };
  if (mask !== undefined && session.inputNames.includes(mask)) {
    feeds[mask] = new Tensor("int64", new BigInt64Array(signal.length).fill(1n), [windows, length]);
  }
  const start = performance.now();
  const made = await session.run(
    feeds,
    outputs.map(({ name }) => name),
  );
  const inference_ms = performance.now() - start;
  const rows = outputs.map(({ name, width }) => {
    const { data, dims, type } = made[name]!;
    if (type !== "float32" || data.length !== windows * width) {
      throw mismatch(
        `its ${name} came as ${type} [${dims.join(", ")}], not float32 [${windows}, ${width}]`,
      );
    }
    return new Float32Array(data as Float32Array);
  });
  for (const tensor of Object.values(made)) tensor.dispose();
  return { rows, inference_ms };
}

function expectGraph(
  { inputNames, outputNames }: InferenceSession,
  input: string,
  mask: string | undefined,
  outputs: ClassifierInput["outputs"],
): void {
  const unknown = inputNames.filter((name) => name !== input && name !== mask);
  if (!inputNames.includes(input) || unknown.length > 0) {
    throw mismatch(`it has the inputs ${inputNames.join(", ")} instead of ${input}`);
  }
  const missing = outputs.filter(({ name }) => !outputNames.includes(name));
  if (missing.length > 0) {
    const names = missing.map(({ name }) => name);
    throw mismatch(`it has the outputs ${outputNames.join(", ")} and no ${names.join(", ")}`);
  }
}

function mismatch(what: string): InferenceError {
  return new InferenceError("model_mismatch", `The model is not what the manifest says: ${what}.`);
}

function toUnitVariance(window: Float32Array): void {
  let sum = 0;
  for (const sample of window) sum += sample;
  const mean = sum / window.length;
  let squares = 0;
  for (const sample of window) squares += (sample - mean) ** 2;
  const scale = 1 / Math.sqrt(squares / window.length + EPSILON);
  for (let i = 0; i < window.length; i += 1) window[i] = (window[i]! - mean) * scale;
}
