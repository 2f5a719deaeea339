import type { InferenceSession, Tensor } from "onnxruntime-node";
import { InferenceError } from "../../inference/inference-error.ts";

/** Two minutes at 48 kHz: many times what the longest utterance takes at the slowest pace. */
const MAX_SAMPLES = 48_000 * 120 * 4;

/**
 * What a voice's model made: the samples of its first output, however many dimensions of one they are wrapped in.
 * @throws {InferenceError} `inference_failed`
 */
export function takeSound(
  session: InferenceSession,
  outputs: Readonly<Record<string, Tensor>>,
): Float32Array<ArrayBuffer> {
  const output = outputs[session.outputNames[0]!]!;
  const samples = output.data as Float32Array<ArrayBuffer>;
  if (samples.length === 0 || samples.length > MAX_SAMPLES) {
    throw new InferenceError("inference_failed", `The voice made ${samples.length} samples.`);
  }
  if (!samples.every(Number.isFinite)) {
    throw new InferenceError("inference_failed", "The voice made samples that are no numbers.");
  }
  return samples;
}
