import type { Inference } from "../../inference/create-inference-thread.ts";
import { runtimeModelOf } from "../../inference/runtime-model.ts";
import type { ReadyModel } from "../../models/resolve-model.ts";
import { createNeuralEngine } from "../neural/create-neural-engine.ts";
import type { Pronounce } from "../phonemes/create-pronouncer.ts";
import type { SpeechEngine } from "../speech-engine.ts";
import { BEGIN, END, PAD, piperVoices, type PiperConfig } from "./piper-config.ts";

export interface PiperEngineParts {
  model: ReadyModel;
  config: PiperConfig;
  inference: Inference;
  pronounce: Pronounce;
  onDropped?: ((count: number) => void) | undefined;
}

/** Its voices end at once with the last sound. */
const PAUSE_S = 0.2;

/**
 * A Piper voice (VITS). It was trained on symbols with a pad behind each, between a beginning and an end. The noise that its
 * graph adds is drawn anew each time, so that the same piece never gives quite the same samples.
 */
export function createPiperEngine(parts: PiperEngineParts): SpeechEngine {
  const { model, config, inference, pronounce, onDropped } = parts;
  const graph = runtimeModelOf(model);
  const voices = piperVoices(model.entry.name, config);
  const symbols = new Map(Object.entries(config.phoneme_id_map));
  const [pad, begin, end] = [PAD, BEGIN, END].map((symbol) => symbols.get(symbol)!);
  const { noise_scale, length_scale, noise_w } = config.inference;

  return createNeuralEngine({
    model,
    style: "espeak",
    voices: voices.map(({ id }) => id),
    sampleRate: config.audio.sample_rate,
    load: (voice) => ({
      symbols,
      pause_s: PAUSE_S,
      async call(ids, speed, signal) {
        const { samples } = await inference.run(
          "speak_piper",
          graph,
          {
            ids: [...begin!, ...pad!, ...ids.flatMap((id) => [id, ...pad!]), ...end!],
            scales: [noise_scale, length_scale / speed, noise_w],
            speaker: voices.find(({ id }) => id === voice)?.speaker ?? 0,
          },
          { signal },
        );
        return samples;
      },
    }),
    pronounce,
    onDropped,
  });
}
