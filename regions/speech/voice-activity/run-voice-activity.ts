import type { InferenceSession } from "onnxruntime-node";
import type { InferenceTasks } from "../inference/protocol.ts";
import { callModel, FRAME } from "./call-model.ts";
import { CONTEXT, WINDOW } from "./voice-activity-state.ts";

type Task = InferenceTasks["voice_activity"];

/** Runs the silero model over whole windows; each needs the state of the one before, so they go one by one. */
export async function runVoiceActivity(
  session: InferenceSession,
  { samples, state }: Task["input"],
  signal: AbortSignal,
): Promise<Task["output"]> {
  if (samples.length % WINDOW !== 0) throw new RangeError(`Windows have ${WINDOW} samples.`);
  const probabilities = new Float32Array(samples.length / WINDOW);
  const input = new Float32Array(FRAME);
  let recurrent = state.recurrent;
  input.set(state.context, WINDOW);
  const start = performance.now();
  for (let at = 0; at < samples.length; at += WINDOW) {
    signal.throwIfAborted();
    input.copyWithin(0, WINDOW);
    input.set(samples.subarray(at, at + WINDOW), CONTEXT);
    const heard = await callModel(session, 1, input, recurrent);
    recurrent = heard.recurrent;
    probabilities[at / WINDOW] = heard.probabilities[0] ?? Number.NaN;
  }
  return {
    probabilities,
    state: { recurrent: recurrent.slice(), context: input.slice(WINDOW) },
    inference_ms: performance.now() - start,
  };
}
