import type { SpeechEngine } from "../speech-engine.ts";
import {
  createFliteThreads,
  type FliteThreads,
  type FliteThreadsOptions,
} from "./create-flite-threads.ts";
import { FLITE_SHA256, FLITE_VERSION } from "./load-flite-module.ts";
import { FLITE_RATE, FLITE_VOICES } from "./run-flite.ts";

export interface FliteEngineOptions extends FliteThreadsOptions {
  /** Absent: threads of its own, by the other options. Closed with the engine. */
  threadsOfFlite?: FliteThreads;
}

/** flite's own voices: English, small, fast and plain; nothing to download. */
export function createFliteEngine(options: FliteEngineOptions = {}): SpeechEngine {
  const { threadsOfFlite: flite = createFliteThreads(options) } = options;
  return {
    name: "flite",
    version: FLITE_VERSION,
    modelSha256: FLITE_SHA256,
    voices: FLITE_VOICES,
    sampleRate: FLITE_RATE,
    async speak({ text, voice, speed }, signal) {
      // It would name the marks.
      if (!/[a-z]/i.test(text)) return new Int16Array(0);
      return flite.run({ type: "speak", text, voice, speed }, signal);
    },
    close: () => flite.close(),
  };
}
