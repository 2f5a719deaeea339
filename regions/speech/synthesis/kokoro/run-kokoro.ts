import { Tensor } from "onnxruntime-node";
import type { InferenceSession } from "onnxruntime-node";
import type { InferenceTasks } from "../../inference/protocol.ts";
import { checkGraph, type WantedInput } from "../neural/check-graph.ts";
import { takeSound } from "../neural/take-sound.ts";

type Task = InferenceTasks["speak_kokoro"];

const REST: Record<string, WantedInput> = {
  style: { type: "float32", rank: 2 },
  speed: { type: "float32", rank: 1 },
};

/**
 * One call of Kokoro's model (StyleTTS 2). It takes one utterance: symbols [1, n] with a pad at each end, the style of the
 * voice [1, 256] and the pace [1], and gives samples at 24 kHz. Its exports call the symbols `input_ids` or `tokens`.
 */
export async function runKokoro(
  session: InferenceSession,
  { ids, style, speed }: Task["input"],
): Promise<Task["output"]> {
  const symbols = session.inputNames.includes("tokens") ? "tokens" : "input_ids";
  checkGraph(session, { [symbols]: { type: "int64", rank: 2 }, ...REST });
  const start = performance.now();
  const outputs = await session.run({
    [symbols]: new Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]),
    style: new Tensor("float32", style, [1, style.length]),
    speed: new Tensor("float32", Float32Array.of(speed), [1]),
  });
  return { samples: takeSound(session, outputs), inference_ms: performance.now() - start };
}
