/** Entry of a Moonshine thread: sessions live here because a run blocks its thread until it is done. */
import { parentPort, workerData } from "node:worker_threads";
import { MAX_DEFLATED, deflatedRatio } from "../neural/deflated-ratio.ts";
import type { WindowPlace } from "../neural/protocol.ts";
import { serveWindows } from "../neural/serve-windows.ts";
import type { ReadWindow } from "../neural/serve-windows.ts";
import type { MoonshineRuntime } from "./create-onnx-runtime.ts";
import { decodeSamples } from "./decode-samples.ts";
import { loadMoonshine } from "./load-moonshine.ts";
import type { LoadedMoonshine } from "./load-moonshine.ts";
import { paddedLength } from "./pad-window.ts";
import type { HeardSamples, MoonshineThreadData } from "./protocol.ts";
import { rowsAtOnce } from "./rows-at-once.ts";

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

serveWindows<WindowPlace, HeardSamples, LoadedMoonshine>(parentPort, {
  load: () => loadMoonshine(files, threads),
  rowsAtOnce: ({ model }, batch) => rowsAtOnce(model, batch[0]!.samples),
  hear,
});
