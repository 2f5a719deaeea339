import { Tensor } from "onnxruntime-node";
import type { InferenceSession } from "onnxruntime-node";
import { SAMPLE_RATE } from "../decode/sample-format.ts";
import { CONTEXT, RECURRENT, WINDOW } from "./voice-activity-state.ts";

/** Samples that the model sees of each stream in one call: what came before the window, then the window. */
export const FRAME = CONTEXT + WINDOW;

const rate = new Tensor("int64", BigInt64Array.of(BigInt(SAMPLE_RATE)), []);

/**
 * One call of the silero model with a window of each of `count` streams.
 * @param input [count, 64 + 512]
 * @param recurrent [2, count, 128]
 * @returns the probability of speech in each window and the states after it, in the order of the streams
 */
export async function callModel(
  session: InferenceSession,
  count: number,
  input: Float32Array,
  recurrent: Float32Array,
): Promise<{ probabilities: Float32Array; recurrent: Float32Array<ArrayBuffer> }> {
  const { output, stateN } = await session.run({
    input: new Tensor("float32", input, [count, FRAME]),
    state: new Tensor("float32", recurrent, [2, count, RECURRENT / 2]),
    sr: rate,
  });
  if (output === undefined || stateN === undefined)
    throw new TypeError("The model has other outputs.");
  return {
    probabilities: output.data as Float32Array,
    recurrent: stateN.data as Float32Array<ArrayBuffer>,
  };
}
