import type { InferenceSession } from "onnxruntime-node";
import type { TensorShape } from "./runtime-model.ts";

type Metadata = InferenceSession.ValueMetadata;

/**
 * What a model has otherwise than the manifest says, in words; undefined when all is as it says. A size that either of
 * them leaves open agrees with every other.
 */
export function findTensorFault(
  kind: "input" | "output",
  said: Readonly<Record<string, TensorShape>>,
  found: readonly Metadata[],
): string | undefined {
  const names = found.map(({ name }) => name);
  const missing = Object.keys(said).filter((name) => !names.includes(name));
  const unknown = names.filter((name) => !Object.hasOwn(said, name));
  if (missing.length > 0 || unknown.length > 0) {
    return `it has the ${kind}s ${names.join(", ")} instead of ${Object.keys(said).join(", ")}`;
  }
  for (const tensor of found) {
    const { type, shape } = said[tensor.name]!;
    if (!tensor.isTensor) return `its ${kind} ${tensor.name} is not a tensor`;
    if (tensor.type !== type)
      return `its ${kind} ${tensor.name} is ${tensor.type} instead of ${type}`;
    if (!isSameShape(tensor.shape, shape)) {
      return `its ${kind} ${tensor.name} has the shape [${tensor.shape.join(", ")}] instead of [${shape.join(", ")}]`;
    }
  }
  return undefined;
}

function isSameShape(
  found: readonly (number | string)[],
  said: readonly (number | string)[],
): boolean {
  return (
    found.length === said.length &&
    found.every((size, i) => {
      const other = said[i];
      return typeof size !== "number" || typeof other !== "number" || size === other;
    })
  );
}
