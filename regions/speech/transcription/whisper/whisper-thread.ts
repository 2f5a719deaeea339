/** Entry of a Whisper thread: sessions live here because a run blocks its thread until it is done. */
import { open } from "node:fs/promises";
import { parentPort, workerData } from "node:worker_threads";
import { decodeWindows } from "./decode-windows.ts";
import { loadWhisper } from "./load-whisper.ts";
import type { LoadedWhisper } from "./load-whisper.ts";
import { createLogMel, WINDOW_FRAMES } from "./log-mel.ts";
import type {
  HeardWindow,
  WhisperReply,
  WhisperRequest,
  WhisperThreadData,
  WhisperWindow,
} from "./protocol.ts";
import { timedPieces } from "./timed-pieces.ts";
import { WhisperModelError } from "./whisper-error.ts";
import type { WhisperModel } from "./whisper-model.ts";
import type { WhisperRuntime } from "./whisper-runtime.ts";

if (parentPort === null) throw new Error("The Whisper thread was started as something else.");
const port = parentPort;
const { files, threads, task, maxTokens, temperatures } = workerData as WhisperThreadData;

const RATE = 16_000;
const cancels = new Map<number, AbortController>();
let loading: Promise<LoadedWhisper> | undefined;
let last: Promise<void> = Promise.resolve();

function load(): Promise<LoadedWhisper> {
  loading ??= loadWhisper(files, { threads });
  // A file that is not there may be installed by the next time.
  loading.catch(() => (loading = undefined));
  return loading;
}

async function readSamples({ path, from, samples }: WhisperWindow): Promise<Float32Array> {
  const file = await open(path);
  try {
    const bytes = new Int16Array(samples);
    const { bytesRead } = await file.read(bytes, 0, samples * 2, from * 2);
    return Float32Array.from(bytes.subarray(0, bytesRead / 2), (sample) => sample / 32767);
  } finally {
    await file.close();
  }
}

/** What keys and values of the windows may take in one batch, bytes; the decoder holds them for each layer. */
const MOST_CACHE = 512 * 1024 ** 2;

function rowsAtOnce({ layers, width }: WhisperModel): number {
  const bytes = 2 * layers * width * (WINDOW_FRAMES / 2) * Float32Array.BYTES_PER_ELEMENT;
  return Math.max(1, Math.floor(MOST_CACHE / bytes));
}

async function run(windows: readonly WhisperWindow[]): Promise<WhisperReply> {
  const whisper = await load();
  const heard: HeardWindow[] = [];
  const unread: { id: number; message: string }[] = [];
  const most = rowsAtOnce(whisper.model);
  for (let at = 0; at < windows.length; at += most) {
    const readable: { window: WhisperWindow; samples: Float32Array }[] = [];
    for (const window of windows.slice(at, at + most)) {
      if (cancels.get(window.id)!.signal.aborted) continue;
      try {
        readable.push({ window, samples: await readSamples(window) });
      } catch (error) {
        unread.push({ id: window.id, message: messageOf(error) });
      }
    }
    if (readable.length > 0) heard.push(...(await hear(whisper, readable)));
  }
  return { type: "heard", windows: heard, unread };
}

/** Tells after each run of a graph that there was one. */
function watched(runtime: WhisperRuntime): WhisperRuntime {
  const told = <T>(made: T): T => {
    port.postMessage({ type: "step" } satisfies WhisperReply);
    return made;
  };
  return {
    ...runtime,
    encode: async (...input) => told(await runtime.encode(...input)),
    decodeStep: async (...input) => told(await runtime.decodeStep(...input)),
  };
}

async function hear(
  { model, runtime, textOf }: LoadedWhisper,
  readable: readonly { window: WhisperWindow; samples: Float32Array }[],
): Promise<HeardWindow[]> {
  const { bands, tokens } = model;
  const logMel = createLogMel(bands);
  const size = bands * WINDOW_FRAMES;
  const features = new Float32Array(readable.length * size);
  for (const [i, { samples }] of readable.entries()) logMel.write(samples, features, i * size);
  const answers = await decodeWindows(
    watched(runtime),
    model,
    features,
    readable.map(({ window: { id, language } }) => {
      return { language, signal: cancels.get(id)!.signal };
    }),
    {
      task,
      timestamps: true,
      maxTokens,
      textOf,
      ...(temperatures === undefined ? {} : { temperatures }),
    },
  );
  return readable.flatMap(({ window: { id }, samples }, i): HeardWindow[] => {
    const answer = answers[i];
    if (answer === undefined) return [];
    const believed = answer.verdict === "plausible" || answer.verdict === "unsure";
    const pieces = timedPieces(answer.tokens, tokens.firstTime, tokens.end, samples.length / RATE)
      .map(({ start_s, end_s, tokens: own }) => ({
        start_s,
        end_s,
        text: textOf(own).replaceAll(/\s+/g, " ").trim(),
      }))
      .filter(({ text }) => text !== "");
    return [
      {
        id,
        pieces: believed ? pieces : [],
        language: answer.language ?? "en",
        language_probability: answer.languageProbability,
        no_speech: answer.noSpeech,
        average_logprob: answer.averageLogprob,
        temperature: answer.temperature,
        verdict: answer.verdict,
      },
    ];
  });
}

async function answer(windows: readonly WhisperWindow[]): Promise<WhisperReply> {
  try {
    return await run(windows);
  } catch (error) {
    const fault = error instanceof WhisperModelError ? error.fault : undefined;
    return { type: "failed", fault, message: messageOf(error) };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

port.on("message", (request: WhisperRequest) => {
  switch (request.type) {
    case "close":
      for (const cancel of cancels.values()) cancel.abort();
      void last.then(() => port.close());
      return;
    case "cancel":
      cancels.get(request.id)?.abort();
      port.postMessage({ type: "left", id: request.id } satisfies WhisperReply);
      return;
    case "run":
      for (const { id } of request.windows) cancels.set(id, new AbortController());
      last = last.then(async () => {
        const reply = await answer(request.windows);
        for (const { id } of request.windows) cancels.delete(id);
        port.postMessage(reply);
      });
  }
});
