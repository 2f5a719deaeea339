import { basename, dirname } from "node:path";
import type { PinnedFile } from "../models/model-entry.ts";
import type { ModelFile, ReadyModel } from "../models/resolve-model.ts";

/** A tensor as the manifest describes it: a number where the size is fixed, a name where it is not. */
export interface TensorShape {
  type: string;
  shape: readonly (number | string)[];
}

/** What an inference thread has to know of a model. */
export interface RuntimeModel extends ModelFile {
  /** Files that hold weights of this graph; it finds them beside itself, by their names. */
  outside?: readonly Pick<ModelFile, "path" | "sha256">[] | undefined;
  /** Memory of one loaded copy, MB; where it is not said, the model counts for nothing against the budget. */
  memory_mb?: number | undefined;
  /** What the model is fed; it is checked when the model is loaded, where it is said. */
  inputs?: Readonly<Record<string, TensorShape>> | undefined;
  outputs?: Readonly<Record<string, TensorShape>> | undefined;
}

/**
 * A graph of a model with what the manifest says of it; each graph of a model is loaded by itself, on a thread of its own. Of a
 * model's memory each has its share by length, the weights outside of it included.
 *
 * @param path of the graph in the manifest; that of the first file when absent
 */
export function runtimeModelOf({ files, entry }: ReadyModel, path?: string): RuntimeModel {
  const graph = path === undefined ? entry.files[0] : entry.files.find((own) => own.path === path);
  if (graph === undefined) throw new TypeError(`The model ${entry.name} has no ${path}.`);
  const weights = entry.files.filter((file) => isWeightsOf(file, graph));
  const graphs = entry.files.filter((file) => file.path.endsWith(".onnx"));
  const all = graphs.flatMap((one) => [
    one,
    ...entry.files.filter((file) => isWeightsOf(file, one)),
  ]);
  const share =
    graphs.includes(graph) && graphs.length > 1 ? lengthOf([graph, ...weights]) / lengthOf(all) : 1;
  const { inputs, outputs } = graph;
  return {
    ...files.get(graph.path)!,
    ...(weights.length === 0 ? {} : { outside: weights.map((file) => files.get(file.path)!) }),
    memory_mb: entry.memory_mb * share,
    inputs,
    outputs,
  };
}

/** Names what is loaded: graphs may be the same and their weights not. */
export function keyOf({ sha256, outside = [] }: RuntimeModel): string {
  return [sha256, ...outside.map((file) => file.sha256)].join(" ");
}

/** By the names that exporters give: `model.onnx_data`, `model.onnx_data_1`, `model.onnx.data`. */
function isWeightsOf({ path }: PinnedFile, graph: PinnedFile): boolean {
  const name = basename(graph.path);
  const own = basename(path);
  return (
    dirname(path) === dirname(graph.path) &&
    own.startsWith(name) &&
    /^[._]data(?:_\d+)?$/.test(own.slice(name.length))
  );
}

function lengthOf(files: readonly PinnedFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}
