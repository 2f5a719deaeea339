import { Tensor } from "onnxruntime-node";
import type { InferenceSession } from "onnxruntime-node";
import { SAMPLE_RATE } from "../decode/sample-format.ts";
import type { InferenceTasks } from "../inference/protocol.ts";
import { CONTEXT, RECURRENT, WINDOW } from "./voice-activity-state.ts";

type Task = InferenceTasks["voice_activity"];

/** Runs the silero model over whole windows; each needs the state of the one before, so they go one by one. */
export async function runVoiceActivity(
  session: InferenceSession,
  { samples, state }: Task["input"],
  signal: AbortSignal,
): Promise<Task["output"]> {
  if (samples.length % WINDOW !== 0) throw new RangeError(`Windows have ${WINDOW} samples.`);
  const probabilities = new Float32Array(samples.length / WINDOW);
  const input = new Float32Array(CONTEXT + WINDOW);
  const rate = new Tensor("int64", BigInt64Array.of(BigInt(SAMPLE_RATE)), []);
  let recurrent = state.recurrent;
  input.set(state.context, WINDOW);
  const start = performance.now();
  for (let at = 0; at < samples.length; at += WINDOW) {
    signal.throwIfAborted();
    input.copyWithin(0, WINDOW);
    input.set(samples.subarray(at, at + WINDOW), CONTEXT);
    const { output, stateN } = await session.run({
      input: new Tensor("float32", input, [1, CONTEXT + WINDOW]),
      state: new Tensor("float32", recurrent, [2, 1, RECURRENT / 2]),
      sr: rate,
    });
    if (output === undefined || stateN === undefined)
      throw new TypeError("The model has other outputs.");
    recurrent = stateN.data as Float32Array<ArrayBuffer>;
    probabilities[at / WINDOW] = (output.data as Float32Array)[0] ?? Number.NaN;
  }
  return {
    probabilities,
    state: { recurrent: recurrent.slice(), context: input.slice(WINDOW) },
    inference_ms: performance.now() - start,
  };
}
