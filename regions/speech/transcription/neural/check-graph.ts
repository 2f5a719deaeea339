import type { InferenceSession, Tensor } from "onnxruntime-node";
import { ModelFaultError } from "./model-fault.ts";

/** Which graph of which kind of model is looked at, for messages. */
export interface GraphRole {
  graph: "encoder" | "decoder";
  /** "Whisper", for one. */
  kind: string;
}

/**
 * More outputs than are needed (attentions, for one) do no harm; another input would be missing in every run.
 * @throws {ModelFaultError} `mismatch`
 */
export function checkGraph(
  role: GraphRole,
  session: InferenceSession,
  inputs: readonly string[],
  outputs: readonly string[],
): void {
  const missing = inputs.filter((name) => !session.inputNames.includes(name));
  const unknown = session.inputNames.filter((name) => !inputs.includes(name));
  const absent = outputs.filter((name) => !session.outputNames.includes(name));
  const faults = [
    ...missing.map((name) => `it has no input ${name}`),
    ...unknown.map((name) => `its input ${name} is unknown`),
    ...absent.map((name) => `it has no output ${name}`),
  ];
  for (const tensor of [...session.inputMetadata, ...session.outputMetadata]) {
    const isFloat = tensor.name !== "input_ids" && tensor.name !== "use_cache_branch";
    if (isFloat && tensor.isTensor && tensor.type !== "float32") {
      faults.push(`${tensor.name} is ${tensor.type}, not float32`);
    }
  }
  if (faults.length > 0) throw mismatch(role, faults.slice(0, 4).join(", "));
}

/** A size that the graph may leave open. @throws {ModelFaultError} `mismatch` */
export function checkSize(
  role: GraphRole,
  metadata: readonly InferenceSession.ValueMetadata[],
  name: string,
  dimension: number,
  size: number,
): void {
  const tensor = metadata.find((one) => one.name === name);
  const found = tensor?.isTensor === true ? tensor.shape[dimension] : undefined;
  if (typeof found === "number" && found > 0 && found !== size) {
    throw mismatch(role, `${name} has ${found} in place of the ${size} that config.json says`);
  }
}

/** @throws {ModelFaultError} `mismatch` */
export function expectShape(
  role: GraphRole,
  name: string,
  { dims }: Tensor,
  shape: readonly number[],
): void {
  if (dims.join() !== shape.join()) {
    throw mismatch(role, `${name} came as [${dims.join(", ")}], not [${shape.join(", ")}]`);
  }
}

function mismatch({ graph, kind }: GraphRole, message: string): ModelFaultError {
  return new ModelFaultError("mismatch", `The ${graph} cannot be run as a ${kind}'s: ${message}.`);
}
