import { createHash } from "node:crypto";
import { InferenceError } from "../../inference/inference-error.ts";
import type { ReadyModel } from "../../models/resolve-model.ts";
import { FLITE_SHA256 } from "../flite/load-flite-module.ts";
import type { Pronounce } from "../phonemes/create-pronouncer.ts";
import { encodeWords, type SymbolIds } from "../phonemes/encode-words.ts";
import type { IpaStyle } from "../phonemes/spell-ipa.ts";
import type { SpeechEngine, SpeechPiece } from "../speech-engine.ts";
import { SynthesisError } from "../synthesis-error.ts";

/** Raised when the same text becomes other symbols, or the same symbols other sound: old cache entries die with it. */
const REVISION = 1;

/** Symbols of one call at most, as many as Kokoro takes; half a minute of speech. */
const MAX_SYMBOLS = 510;

/** What a voice is made of, once its files are read. */
export interface NeuralVoice {
  symbols: SymbolIds;
  /** One call of the model: samples between -1 and 1. */
  call(ids: readonly number[], speed: number, signal: AbortSignal): Promise<Float32Array>;
  /** Silence behind a sentence, seconds. */
  pause_s: number;
}

export interface NeuralEngineParts {
  model: ReadyModel;
  style: IpaStyle;
  voices: readonly string[];
  sampleRate: number;
  /** Called once for each piece; what it reads it keeps. */
  load(voice: string): NeuralVoice | Promise<NeuralVoice>;
  pronounce: Pronounce;
  /** Told how many symbols the model did not know, when there are any. */
  onDropped?: ((count: number) => void) | undefined;
}

/**
 * The way from a piece of text to sound that neural voices share: pronunciation, symbols, calls of the model one after the
 * other, samples of 16 bits. What it is given is shared with other engines and lives on when it is closed.
 *
 * Utterances are not put into batches: Kokoro takes one at a time, and Piper does not say how long each of a batch became.
 */
export function createNeuralEngine(parts: NeuralEngineParts): SpeechEngine {
  const { model, style, voices, sampleRate, load, pronounce, onDropped } = parts;
  const closing = new AbortController();

  async function speak({ text, voice, speed }: SpeechPiece, signal: AbortSignal) {
    const { symbols, call, pause_s } = await load(voice);
    const words = await pronounce(text, signal);
    if (words.length === 0) return new Int16Array(0);
    const { utterances, dropped } = encodeWords(words, style, symbols, MAX_SYMBOLS);
    if (dropped > 0) onDropped?.(dropped);
    if (utterances.length === 0) {
      throw new SynthesisError("voice_model_corrupt", `${voice} knows none of the text's sounds.`);
    }
    const sound: Int16Array[] = [];
    for (const ids of utterances) {
      signal.throwIfAborted();
      sound.push(toPcm16(await withSecondChance(() => call(ids, speed, signal))));
    }
    if (/[.!?]$/.test(text)) sound.push(new Int16Array(Math.round(pause_s * sampleRate)));
    return concat(sound);
  }

  return {
    name: model.entry.name,
    version: `${model.entry.version}+${REVISION}`,
    modelSha256: hashOf(model),
    voices,
    sampleRate,
    async speak(piece, signal) {
      const stop = signal ? AbortSignal.any([signal, closing.signal]) : closing.signal;
      try {
        stop.throwIfAborted();
        return await speak(piece, stop);
      } catch (error) {
        if (closing.signal.aborted) {
          throw new SynthesisError("synthesis_closed", "The engine was closed.");
        }
        throw error;
      }
    },
    close() {
      closing.abort();
      return Promise.resolve();
    },
  };
}

/** A thread that died by accident gets one more chance; one that hung would only hang again. */
async function withSecondChance<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof InferenceError) || error.code !== "inference_thread_died") throw error;
    return call();
  }
}

/** Of all that the sound follows from: every file of the model, and flite, which pronounces. */
function hashOf({ files }: ReadyModel): string {
  const hash = createHash("sha256").update(FLITE_SHA256);
  for (const [path, { sha256 }] of [...files].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`\n${path} ${sha256}`);
  }
  return hash.digest("hex");
}

/** What is beyond full scale is clipped. */
const toPcm16 = (samples: Float32Array): Int16Array =>
  Int16Array.from(samples, (sample) => Math.round(Math.max(-1, Math.min(1, sample)) * 32_767));

function concat(chunks: readonly Int16Array[]): Int16Array {
  const whole = new Int16Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
