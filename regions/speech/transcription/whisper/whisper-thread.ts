/** Entry of a Whisper thread: sessions live here because a run blocks its thread until it is done. */
import { parentPort, workerData } from "node:worker_threads";
import { serveWindows } from "../neural/serve-windows.ts";
import type { ReadWindow } from "../neural/serve-windows.ts";
import { tellAfter } from "../neural/tell-after.ts";
import { decodeWindows } from "./decode-windows.ts";
import { loadWhisper } from "./load-whisper.ts";
import type { LoadedWhisper } from "./load-whisper.ts";
import { createLogMel, WINDOW_FRAMES } from "./log-mel.ts";
import type { HeardWindow, WhisperThreadData, WhisperWindow } from "./protocol.ts";
import { timedPieces } from "./timed-pieces.ts";

if (parentPort === null) throw new Error("The Whisper thread was started as something else.");
const { files, threads, task, maxTokens, temperatures } = workerData as WhisperThreadData;

const RATE = 16_000;

/** What keys and values of the windows may take in one batch, bytes; the decoder holds them for each layer. */
const MOST_CACHE = 512 * 1024 ** 2;

function rowsAtOnce({ model: { layers, width } }: LoadedWhisper): number {
  const bytes = 2 * layers * width * (WINDOW_FRAMES / 2) * Float32Array.BYTES_PER_ELEMENT;
  return Math.max(1, Math.floor(MOST_CACHE / bytes));
}

async function hear(
  { model, runtime, textOf }: LoadedWhisper,
  readable: readonly ReadWindow<WhisperWindow>[],
  step: () => void,
): Promise<HeardWindow[]> {
  const { bands, tokens } = model;
  const logMel = createLogMel(bands);
  const size = bands * WINDOW_FRAMES;
  const features = new Float32Array(readable.length * size);
  for (const [i, { samples }] of readable.entries()) logMel.write(samples, features, i * size);
  const watched = {
    ...runtime,
    encode: tellAfter(runtime.encode, step),
    decodeStep: tellAfter(runtime.decodeStep, step),
  };
  const answers = await decodeWindows(
    watched,
    model,
    features,
    readable.map(({ window: { language }, signal }) => ({ language, signal })),
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

serveWindows(parentPort, { load: () => loadWhisper(files, { threads }), rowsAtOnce, hear });
