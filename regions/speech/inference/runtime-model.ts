import type { ModelFile, ReadyModel } from "../models/resolve-model.ts";

/** A tensor as the manifest describes it: a number where the size is fixed, a name where it is not. */
export interface TensorShape {
  type: string;
  shape: readonly (number | string)[];
}

/** What an inference thread has to know of a model. */
export interface RuntimeModel extends ModelFile {
  /** Memory of one loaded copy, MB; where it is not said, the model counts for nothing against the budget. */
  memory_mb?: number | undefined;
  /** What the model is fed; it is checked when the model is loaded, where it is said. */
  inputs?: Readonly<Record<string, TensorShape>> | undefined;
  outputs?: Readonly<Record<string, TensorShape>> | undefined;
}

/** The graph that a task with a single one loads, with what the manifest says of it. */
export function runtimeModelOf({ model, entry }: ReadyModel): RuntimeModel {
  const { inputs, outputs } = entry.files[0]!;
  return { ...model, memory_mb: entry.memory_mb, inputs, outputs };
}
