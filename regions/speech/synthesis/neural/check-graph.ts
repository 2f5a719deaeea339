import type { InferenceSession } from "onnxruntime-node";
import { InferenceError } from "../../inference/inference-error.ts";

/** An input that a model must have: its type and how many dimensions. */
export interface WantedInput {
  type: "int64" | "float32";
  rank: number;
}

/**
 * Sees that a model takes exactly what it will be given, before it is given anything.
 * @param optional inputs that it may have besides
 * @throws {InferenceError} `model_mismatch`
 */
export function checkGraph(
  session: InferenceSession,
  wanted: Readonly<Record<string, WantedInput>>,
  optional: Readonly<Record<string, WantedInput>> = {},
): void {
  const { inputMetadata, outputMetadata } = session;
  const fault = (what: string) =>
    new InferenceError("model_mismatch", `The voice's model is of another kind: ${what}.`);
  for (const name of Object.keys(wanted)) {
    if (!inputMetadata.some((input) => input.name === name)) {
      const names = inputMetadata.map((input) => input.name).join(", ");
      throw fault(`it has the inputs ${names} instead of ${Object.keys(wanted).join(", ")}`);
    }
  }
  for (const input of inputMetadata) {
    const want = wanted[input.name] ?? optional[input.name];
    if (want === undefined) throw fault(`it asks for ${input.name}`);
    if (!input.isTensor || input.type !== want.type || input.shape.length !== want.rank) {
      throw fault(`its input ${input.name} is not ${want.type} of ${want.rank} dimensions`);
    }
  }
  const [output] = outputMetadata;
  if (output === undefined || !output.isTensor || output.type !== "float32") {
    throw fault("its first output is no sound");
  }
}
