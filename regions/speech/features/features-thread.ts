/** Entry of the features thread: the arithmetic of a recording takes its time, and the thread that renews leases must not. */
import { parentPort } from "node:worker_threads";
import { createVoiceMeter } from "../measure-voice.ts";
import type { VoiceMeter } from "../measure-voice.ts";
import type { FeaturesReply, FeaturesRequest } from "./protocol.ts";

if (parentPort === null) throw new Error("The features thread was started as something else.");
const port = parentPort;

interface Recording {
  meter: VoiceMeter;
  compute_ms: number;
}
const recordings = new Map<number, Recording>();

function answer(request: Exclude<FeaturesRequest, { type: "drop" }>): FeaturesReply {
  const { id } = request;
  const start = performance.now();
  const recording = recordings.get(id) ?? { meter: createVoiceMeter(), compute_ms: 0 };
  recordings.set(id, recording);
  try {
    if (request.type === "push") {
      recording.meter.push(request.samples);
      recording.compute_ms += performance.now() - start;
      return { type: "taken", id };
    }
    recordings.delete(id);
    const measures = recording.meter.finish(request.speech);
    return {
      type: "measured",
      id,
      measures,
      compute_ms: recording.compute_ms + performance.now() - start,
    };
  } catch (error) {
    recordings.delete(id);
    return { type: "failed", id, message: error instanceof Error ? error.message : String(error) };
  }
}

port.on("message", (request: FeaturesRequest) => {
  if (request.type === "drop") recordings.delete(request.id);
  else port.postMessage(answer(request));
});
