import { createHash } from "node:crypto";
import { fliteVoices, type SpeechFormat, type Voice } from "../../../shared/contracts/speech.ts";
import type { SpeechVoices } from "./create-voices.ts";
import { createEncoderPool, type EncoderPool } from "./encode/create-encoder-pool.ts";
import { encodedRate } from "./encode/protocol.ts";
import { wavHeader } from "./encode/wav-header.ts";
import { createFliteEngine } from "./flite/create-flite-engine.ts";
import type { SpeechEngine } from "./speech-engine.ts";
import { prepareText } from "./text/prepare-text.ts";

export interface SynthesizerOptions {
  /** Absent: flite's alone. */
  voices?: SpeechVoices;
  /** One engine for every voice. */
  engine?: SpeechEngine;
  encoders?: EncoderPool;
}

export interface SpeechOrder {
  input: string;
  voice: string;
  format: SpeechFormat;
  /** 0.25 to 4. */
  speed: number;
}

/** What was spoken, known at its end. */
export interface SpeechSummary {
  pieces: number;
  /** Of normalised text. */
  characters: number;
  duration_s: number;
  /** Time that the engine took, without waiting for whoever reads. */
  engine_ms: number;
}

/** A text that is ready to be spoken. */
export interface PreparedSpeech {
  /** SHA-256 of all that the bytes follow from: engine, version, model, voice, normalised text, speed, format. */
  contentKey: string;
  engine: string;
  sampleRate: number;
  /** The audio as it is made, piece by piece. May be read once. Leaving the loop ends the work. */
  audio(signal: AbortSignal, onEnd?: (summary: SpeechSummary) => void): AsyncGenerator<Uint8Array>;
}

export interface Synthesizer {
  /** Those that can speak now. */
  voices(): Voice[];
  /** @throws ApiError text_language_unsupported | text_empty | invalid_request | voice_not_installed | language_unsupported */
  prepare(order: SpeechOrder): PreparedSpeech;
  close(): Promise<void>;
}

/** Raised when what is made from the same text changes: normalisation, splitting or encoding. Old cache entries die with it. */
const REVISION = 1;

/** Text in, audio out: normalisation, sentence by sentence through the engine, encoded as it comes. */
export function createSynthesizer(options: SynthesizerOptions = {}): Synthesizer {
  const { encoders = createEncoderPool() } = options;
  const voices = options.voices ?? voicesOf(options.engine ?? createFliteEngine());

  function prepare({ input, voice, format, speed }: SpeechOrder): PreparedSpeech {
    const engine = voices.find(voice);
    const identity = `${engine.name}/${engine.version}`;
    const pieces = prepareText(input);
    const facts = [REVISION, identity, engine.modelSha256, voice, speed, format, pieces];
    const contentKey = createHash("sha256").update(JSON.stringify(facts)).digest("hex");

    async function* speak(signal: AbortSignal, summary: SpeechSummary) {
      for (const text of pieces) {
        const start = performance.now();
        const samples = await engine.speak({ text, voice, speed }, signal);
        summary.engine_ms += performance.now() - start;
        summary.pieces += 1;
        summary.characters += text.length;
        summary.duration_s += samples.length / engine.sampleRate;
        yield samples;
      }
    }

    async function* wav(source: AsyncIterable<Int16Array>): AsyncGenerator<Uint8Array> {
      let begun = false;
      for await (const samples of source) {
        // One piece is all there is: then the length is known.
        const length = pieces.length === 1 ? samples.length : undefined;
        if (!begun) yield wavHeader(engine.sampleRate, length);
        begun = true;
        yield new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
      }
    }

    async function* audio(
      signal: AbortSignal,
      onEnd?: (summary: SpeechSummary) => void,
    ): AsyncGenerator<Uint8Array> {
      const summary = { pieces: 0, characters: 0, duration_s: 0, engine_ms: 0 };
      const leaving = new AbortController();
      const stop = AbortSignal.any([signal, leaving.signal]);
      const source = speak(stop, summary);
      try {
        if (format === "wav") yield* wav(source);
        else yield* encoders.encode(source, { format, rate: engine.sampleRate, signal: stop });
        onEnd?.(summary);
      } finally {
        leaving.abort();
      }
    }

    return {
      contentKey,
      engine: identity,
      sampleRate: format === "wav" ? engine.sampleRate : encodedRate(format, engine.sampleRate),
      audio,
    };
  }

  return {
    voices: () => voices.list(),
    prepare,
    async close() {
      await Promise.all([voices.close(), encoders.close()]);
    },
  };
}

/** One engine, whatever voice is asked for. */
const voicesOf = (engine: SpeechEngine): SpeechVoices => ({
  list: () => fliteVoices.filter(({ id }) => engine.voices.includes(id)),
  find: () => engine,
  close: () => engine.close(),
});
