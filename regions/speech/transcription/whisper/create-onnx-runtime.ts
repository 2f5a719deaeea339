import { Tensor } from "onnxruntime-node";
import type { InferenceSession } from "onnxruntime-node";
import { checkGraph, checkSize, expectShape } from "../neural/check-graph.ts";
import type { GraphRole } from "../neural/check-graph.ts";
import { createMergedDecoder, selectState } from "../neural/merged-decoder.ts";
import type { DecoderState } from "../neural/merged-decoder.ts";
import { WINDOW_FRAMES } from "./log-mel.ts";
import type { WhisperModel } from "./whisper-model.ts";
import type { WhisperRuntime } from "./whisper-runtime.ts";

/** Positions of the encoder's answer: every other frame. */
const POSITIONS = WINDOW_FRAMES / 2;

export interface WhisperSessions {
  encoder: InferenceSession;
  decoder: InferenceSession;
}

/**
 * Runs the exports that Whisper models are published in: `encoder_model.onnx` and `decoder_model_merged.onnx`.
 * @throws {ModelFaultError} `mismatch`: the graphs have other inputs or outputs
 */
export function createOnnxRuntime(
  { encoder, decoder }: WhisperSessions,
  model: Pick<WhisperModel, "bands" | "layers" | "heads" | "width" | "vocabulary">,
): WhisperRuntime {
  const { bands, width } = model;
  const role: GraphRole = { graph: "encoder", kind: "Whisper" };
  checkGraph(role, encoder, ["input_features"], ["last_hidden_state"]);
  const merged = createMergedDecoder(decoder, model, "Whisper");
  checkSize(role, encoder.inputMetadata, "input_features", 1, bands);

  return {
    async encode(features, rows) {
      const input_features = new Tensor("float32", features, [rows, bands, WINDOW_FRAMES]);
      const { last_hidden_state: hidden } = await encoder.run({ input_features });
      expectShape(role, "last_hidden_state", hidden!, [rows, POSITIONS, width]);
      return { rows, hidden: hidden!, past: undefined } satisfies DecoderState;
    },
    decodeStep: (state, tokens) => merged.step(state as DecoderState, tokens),
    select: (state, rows) => selectState(state as DecoderState, rows),
    restart(state) {
      const { rows, hidden } = state as DecoderState;
      return { rows, hidden, past: undefined } satisfies DecoderState;
    },
  };
}
