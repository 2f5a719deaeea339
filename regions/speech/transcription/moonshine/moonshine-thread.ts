/** Entry of a Moonshine thread: sessions live here because a run blocks its thread until it is done. */
import { parentPort, workerData } from "node:worker_threads";
import { MAX_DEFLATED, deflatedRatio } from "../neural/deflated-ratio.ts";
import type { WindowPlace } from "../neural/protocol.ts";
import { serveWindows } from "../neural/serve-windows.ts";
import type { ReadWindow } from "../neural/serve-windows.ts";
import { tellAfter } from "../neural/tell-after.ts";
import { decodeSamples } from "./decode-samples.ts";
import { loadMoonshine } from "./load-moonshine.ts";
import type { LoadedMoonshine } from "./load-moonshine.ts";
import { paddedLength } from "./pad-window.ts";
import type { HeardSamples, MoonshineThreadData } from "./protocol.ts";
import { rowsAtOnce } from "./rows-at-once.ts";

if (parentPort === null) throw new Error("The Moonshine thread was started as something else.");
const { files, threads } = workerData as MoonshineThreadData;

async function hear(
  { model, runtime, textOf }: LoadedMoonshine,
  readable: readonly ReadWindow<WindowPlace>[],
  step: () => void,
): Promise<HeardSamples[]> {
  // A batch is of one kind: its windows are all of this length.
  const length = paddedLength(readable[0]!.window.samples);
  const watched = {
    ...runtime,
    encode: tellAfter(runtime.encode, step),
    step: tellAfter(runtime.step, step),
  };
  const answers = await decodeSamples(watched, model, readable, length);
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
