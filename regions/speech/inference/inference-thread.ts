/** Entry of the inference thread: sessions live here because a run blocks its thread until it is done. */
import { parentPort } from "node:worker_threads";
import type { InferenceSession } from "onnxruntime-node";
import { runVoiceActivity } from "../voice-activity/run-voice-activity.ts";
import { InferenceError } from "./inference-error.ts";
import { loadSession } from "./load-session.ts";
import type { InferenceReply, InferenceRequest } from "./protocol.ts";

if (parentPort === null) throw new Error("The inference thread was started as something else.");
const port = parentPort;

const sessions = new Map<string, Promise<InferenceSession>>();
const waiting = new Map<number, AbortController>();
let last: Promise<void> = Promise.resolve();

function sessionOf(request: InferenceRequest & { type: "run" }): Promise<InferenceSession> {
  const { sha256 } = request.model;
  let session = sessions.get(sha256);
  if (session === undefined) {
    session = loadSession(request.model);
    sessions.set(sha256, session);
    session.catch(() => sessions.delete(sha256));
  }
  return session;
}

async function run(
  request: InferenceRequest & { type: "run" },
  signal: AbortSignal,
): Promise<InferenceReply> {
  const { id } = request;
  try {
    const session = await sessionOf(request);
    return { type: "result", id, output: await runVoiceActivity(session, request.input, signal) };
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
  if (request.type === "close") {
    for (const cancel of waiting.values()) cancel.abort();
    void last.then(() => port.close());
    return;
  }
  if (request.type === "cancel") {
    waiting.get(request.id)?.abort();
    return;
  }
  const cancel = new AbortController();
  waiting.set(request.id, cancel);
  last = last.then(async () => {
    const reply = cancel.signal.aborted ? undefined : await run(request, cancel.signal);
    waiting.delete(request.id);
    if (reply !== undefined && !cancel.signal.aborted) port.postMessage(reply);
  });
});
