import { Tensor } from "onnxruntime-node";
import type { Graphs } from "../neural/open-graphs.ts";
import { checkGraph, expectShape } from "../neural/check-graph.ts";
import type { GraphRole } from "../neural/check-graph.ts";
import { createMergedDecoder, selectState } from "../neural/merged-decoder.ts";
import type { DecoderState, MergedDecoder } from "../neural/merged-decoder.ts";
import type { MoonshineModel } from "./moonshine-model.ts";

/** Strides and kernels of the three convolutions that the encoder begins with. */
const CONVOLUTIONS = [
  { stride: 64, kernel: 127 },
  { stride: 3, kernel: 7 },
  { stride: 2, kernel: 3 },
];

/** Runs a Moonshine model's two graphs, for a batch of windows of one length at a time. */
export interface MoonshineRuntime {
  /** @param samples `rows` windows one behind the other, all of the same length */
  encode(samples: Float32Array, rows: number): Promise<DecoderState>;
  /** Feeds one more token to every row. */
  step: MergedDecoder["step"];
  /** Some of the rows, in the given order. */
  select(state: DecoderState, rows: readonly number[]): DecoderState;
}

/**
 * Runs the exports that Moonshine models are published in: `encoder_model.onnx`, which takes samples, and
 * `decoder_model_merged.onnx`. Neither knows a mask: a row cannot be told where its padding begins.
 *
 * @throws {ModelFaultError} `mismatch`: the graphs have other inputs or outputs
 */
export function createOnnxRuntime(
  { encoder, decoder }: Pick<Graphs, "encoder" | "decoder">,
  model: MoonshineModel,
): MoonshineRuntime {
  const role: GraphRole = { graph: "encoder", kind: "Moonshine" };
  checkGraph(role, encoder, ["input_values"], ["last_hidden_state"]);
  const { step } = createMergedDecoder(decoder, model, "Moonshine");
  return {
    async encode(samples, rows) {
      const length = samples.length / rows;
      const input_values = new Tensor("float32", samples, [rows, length]);
      const { last_hidden_state: hidden } = await encoder.run({ input_values });
      expectShape(role, "last_hidden_state", hidden!, [rows, positionsOf(length), model.width]);
      return { rows, hidden: hidden!, past: undefined };
    },
    step,
    select: selectState,
  };
}

/** How many positions the encoder makes of samples: about 41.7 a second. */
export function positionsOf(samples: number): number {
  return CONVOLUTIONS.reduce(
    (length, { stride, kernel }) => Math.floor((length - kernel) / stride) + 1,
    samples,
  );
}
