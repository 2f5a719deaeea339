import { z } from "zod";
import type { Inference } from "../../inference/create-inference-thread.ts";
import { runtimeModelOf } from "../../inference/runtime-model.ts";
import type { ReadyModel } from "../../models/resolve-model.ts";
import { createNeuralEngine, type NeuralVoice } from "../neural/create-neural-engine.ts";
import { readVoiceFile, readVoiceJson } from "../neural/read-voice-file.ts";
import type { Pronounce } from "../phonemes/create-pronouncer.ts";
import type { SymbolIds } from "../phonemes/encode-words.ts";
import type { SpeechEngine } from "../speech-engine.ts";
import { SynthesisError } from "../synthesis-error.ts";
import { kokoroVoices, KOKORO_TOKENIZER, stylePath } from "./kokoro-files.ts";

export interface KokoroEngineParts {
  model: ReadyModel;
  inference: Inference;
  pronounce: Pronounce;
  onDropped?: ((count: number) => void) | undefined;
}

const RATE = 24_000;
const STYLE = 256;
/** A voice has a style for each length of an utterance, from one symbol to as many as the model takes. */
const STYLES = 510;
/** Both ends of an utterance. */
const PAD = "$";

const Tokenizer = z.object({
  model: z.object({ vocab: z.record(z.string(), z.int().nonnegative()) }),
});

/**
 * Kokoro (82M, StyleTTS 2), in the layout of its ONNX export: the graph, `tokenizer.json` with the numbers of the symbols,
 * and `voices/NAME.bin` with 510 styles of 256 float32 each. English alone.
 */
export function createKokoroEngine(parts: KokoroEngineParts): SpeechEngine {
  const { model, inference, pronounce, onDropped } = parts;
  const graph = runtimeModelOf(model);
  const styles = new Map<string, Float32Array<ArrayBuffer>>();
  let symbols: SymbolIds | undefined;

  function readSymbols(): SymbolIds {
    const { vocab } = readVoiceJson(model, KOKORO_TOKENIZER, Tokenizer).model;
    if (vocab[PAD] === undefined) {
      throw new SynthesisError("voice_model_corrupt", `${KOKORO_TOKENIZER} has no pad ${PAD}.`);
    }
    return new Map(Object.entries(vocab).map(([symbol, id]) => [symbol, [id]]));
  }

  function readStyles(voice: string): Float32Array<ArrayBuffer> {
    const bytes = readVoiceFile(model, stylePath(voice));
    if (bytes.length !== STYLES * STYLE * 4) {
      throw new SynthesisError(
        "voice_model_corrupt",
        `${stylePath(voice)} has ${bytes.length} bytes instead of ${STYLES * STYLE * 4}.`,
      );
    }
    const read = new Float32Array(new Uint8Array(bytes).buffer);
    if (!read.every(Number.isFinite)) {
      throw new SynthesisError(
        "voice_model_corrupt",
        `${stylePath(voice)} has values that are no numbers.`,
      );
    }
    return read;
  }

  function load(voice: string): NeuralVoice {
    symbols ??= readSymbols();
    const [pad] = symbols.get(PAD)!;
    const all = styles.get(voice) ?? readStyles(voice);
    styles.set(voice, all);
    return {
      symbols,
      pause_s: 0,
      async call(ids, speed, signal) {
        const at = (Math.min(ids.length, STYLES) - 1) * STYLE;
        const { samples } = await inference.run(
          "speak_kokoro",
          graph,
          { ids: [pad!, ...ids, pad!], style: all.slice(at, at + STYLE), speed },
          { signal },
        );
        return samples;
      },
    };
  }

  return createNeuralEngine({
    model,
    style: "misaki",
    voices: kokoroVoices(model.entry)
      .filter(({ language }) => language !== undefined)
      .map(({ id }) => id),
    sampleRate: RATE,
    load,
    pronounce,
    onDropped,
  });
}
