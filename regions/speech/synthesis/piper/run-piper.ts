import { Tensor } from "onnxruntime-node";
import type { InferenceSession } from "onnxruntime-node";
import type { InferenceTasks } from "../../inference/protocol.ts";
import { checkGraph, type WantedInput } from "../neural/check-graph.ts";
import { takeSound } from "../neural/take-sound.ts";

type Task = InferenceTasks["speak_piper"];

const INPUTS: Record<string, WantedInput> = {
  input: { type: "int64", rank: 2 },
  input_lengths: { type: "int64", rank: 1 },
  scales: { type: "float32", rank: 1 },
};
const SPEAKER: Record<string, WantedInput> = { sid: { type: "int64", rank: 1 } };

/**
 * One call of a Piper voice (VITS): symbols [1, n], their number [1], three scales (noise, length, noise of the lengths),
 * and the speaker [1] where there are several. It gives samples at the rate that the voice's config names.
 */
export async function runPiper(
  session: InferenceSession,
  { ids, scales, speaker }: Task["input"],
): Promise<Task["output"]> {
  checkGraph(session, INPUTS, SPEAKER);
  const start = performance.now();
  const feeds: Record<string, Tensor> = {
    input: new Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]),
    input_lengths: new Tensor("int64", BigInt64Array.of(BigInt(ids.length)), [1]),
    scales: new Tensor("float32", Float32Array.from(scales), [scales.length]),
  };
  if (session.inputNames.includes("sid")) {
    feeds["sid"] = new Tensor("int64", BigInt64Array.of(BigInt(speaker)), [1]);
  }
  const outputs = await session.run(feeds);
  return { samples: takeSound(session, outputs), inference_ms: performance.now() - start };
}
