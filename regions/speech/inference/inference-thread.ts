/** Entry of the inference thread: sessions live here because a run blocks its thread until it is done. */
import { parentPort, workerData } from "node:worker_threads";
import type { InferenceSession } from "onnxruntime-node";
import { runClassifier } from "../classifiers/run-classifier.ts";
import { runKokoro } from "../synthesis/kokoro/run-kokoro.ts";
import { runPiper } from "../synthesis/piper/run-piper.ts";
import { createVoiceBatch } from "../voice-activity/run-voice-activity-batch.ts";
import { runVoiceActivity } from "../voice-activity/run-voice-activity.ts";
import { InferenceError } from "./inference-error.ts";
import { loadSession } from "./load-session.ts";
import { keyOf } from "./runtime-model.ts";
import type {
  InferenceReply,
  InferenceRequest,
  InferenceTask,
  InferenceTasks,
  InferenceThreadData,
} from "./protocol.ts";

if (parentPort === null) throw new Error("The inference thread was started as something else.");
const port = parentPort;
const { threads, cpuOnly }: InferenceThreadData = { threads: 1, cpuOnly: false, ...workerData };

type Run = InferenceRequest & { type: "run" };
type Output = InferenceTasks[InferenceTask]["output"];

const sessions = new Map<string, Promise<InferenceSession>>();
const memory = new Map<number, Float32Array<SharedArrayBuffer>>();
const waiting = new Map<number, AbortController>();
const runVoiceBatch = createVoiceBatch();
let last: Promise<void> = Promise.resolve();

function runTask(session: InferenceSession, request: Run, signal: AbortSignal): Promise<Output> {
  switch (request.task) {
    case "voice_activity":
      return runVoiceActivity(session, request.input, signal);
    case "voice_activity_batch":
      return runVoiceBatch(
        session,
        request.input,
        request.memory.map((id) => memory.get(id)!),
      );
    case "classify":
      return runClassifier(session, request.input);
    case "speak_kokoro":
      return runKokoro(session, request.input);
    case "speak_piper":
      return runPiper(session, request.input);
  }
}

function sessionOf({ model }: Run): Promise<InferenceSession> {
  const key = keyOf(model);
  let session = sessions.get(key);
  if (session === undefined) {
    session = loadSession(model, { threads, cpuOnly });
    sessions.set(key, session);
    session.catch(() => sessions.delete(key));
  }
  return session;
}

async function run(request: Run, signal: AbortSignal): Promise<InferenceReply> {
  const { id } = request;
  try {
    return {
      type: "result",
      id,
      output: await runTask(await sessionOf(request), request, signal),
    };
  } catch (error) {
    const code = error instanceof InferenceError ? error.code : "inference_failed";
    return {
      type: "failed",
      id,
      code,
      message: error instanceof Error ? error.message : String(error),
    };
  }
}

port.on("message", (request: InferenceRequest) => {
  switch (request.type) {
    case "close":
      for (const cancel of waiting.values()) cancel.abort();
      void last.then(() => port.close());
      return;
    case "cancel":
      waiting.get(request.id)?.abort();
      return;
    case "memory":
      memory.set(request.id, new Float32Array(request.buffer));
      return;
    case "run": {
      const cancel = new AbortController();
      waiting.set(request.id, cancel);
      last = last.then(async () => {
        const reply = cancel.signal.aborted ? undefined : await run(request, cancel.signal);
        waiting.delete(request.id);
        if (reply !== undefined && !cancel.signal.aborted) port.postMessage(reply);
      });
    }
  }
});
