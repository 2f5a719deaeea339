/** Entry of a Moonshine thread: sessions live here because a run blocks its thread until it is done. */
import { parentPort, workerData } from "node:worker_threads";
import { MAX_DEFLATED, deflatedRatio } from "../neural/deflated-ratio.ts";
import type { WindowPlace } from "../neural/protocol.ts";
import { serveWindows } from "../neural/serve-windows.ts";
import type { ReadWindow } from "../neural/serve-windows.ts";
import { positionsOf } from "./create-onnx-runtime.ts";
import type { MoonshineRuntime } from "./create-onnx-runtime.ts";
import { decodeSamples } from "./decode-samples.ts";
import { loadMoonshine } from "./load-moonshine.ts";
import type { LoadedMoonshine } from "./load-moonshine.ts";
import { paddedLength } from "./pad-window.ts";
import type { HeardSamples, MoonshineThreadData } from "./protocol.ts";

if (parentPort === null) throw new Error("The Moonshine thread was started as something else.");
const { files, threads } = workerData as MoonshineThreadData;

/** Tells after each run of a graph that there was one. */
function watched(runtime: MoonshineRuntime, step: () => void): MoonshineRuntime {
  const told = <T>(made: T): T => {
    step();
    return made;
  };
  return {
    ...runtime,
    encode: async (...input) => told(await runtime.encode(...input)),
    step: async (...input) => told(await runtime.step(...input)),
  };
}

async function hear(
  { model, runtime, textOf }: LoadedMoonshine,
  readable: readonly ReadWindow<WindowPlace>[],
  step: () => void,
): Promise<HeardSamples[]> {
  // A batch is of one kind: its windows are all of this length.
  const length = paddedLength(readable[0]!.window.samples);
  const answers = await decodeSamples(watched(runtime, step), model, readable, length);
  return readable.flatMap(({ window: { id } }, i): HeardSamples[] => {
    const answer = answers[i];
    if (answer === undefined) return [];
    const text = textOf(answer.tokens).replaceAll(/\s+/g, " ").trim();
    const isRepetitive = deflatedRatio(text) > MAX_DEFLATED;
    return [
      {
        id,
        text: isRepetitive ? "" : text,
        average_logprob: answer.averageLogprob,
        verdict: isRepetitive ? "repetitive" : "plausible",
      },
    ];
  });
}

/** What the encoder may need beside its weights for one batch, bytes. */
const MOST_WORK = 256 * 1024 ** 2;

/** Half a minute takes 0.1 GB: every position is weighed against every other, twice at a time, and layers have copies. */
function rowsAtOnce({ model }: LoadedMoonshine, batch: readonly WindowPlace[]): number {
  const positions = positionsOf(paddedLength(batch[0]!.samples));
  const values = 2 * model.heads * positions ** 2 + 12 * model.width * positions;
  return Math.max(1, Math.floor(MOST_WORK / (values * Float32Array.BYTES_PER_ELEMENT)));
}

serveWindows<WindowPlace, HeardSamples, LoadedMoonshine>(parentPort, {
  load: () => loadMoonshine(files, threads),
  rowsAtOnce,
  hear,
});
