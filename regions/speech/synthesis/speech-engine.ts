/** One piece of normalised text (see split-sentences.ts) and how to say it. */
export interface SpeechPiece {
  text: string;
  voice: string;
  /** 0.25 to 4; 1 is the voice's own pace. */
  speed: number;
}

/** What makes sound of text. A piece sounds the same whatever was said before it: results are cached by content. */
export interface SpeechEngine {
  name: string;
  version: string;
  /** Of the files that the voices come from. */
  modelSha256: string;
  voices: readonly string[];
  /** Of every voice, Hz. */
  sampleRate: number;
  /**
   * Mono samples of 16 bits; none for a text without words. Aborting ends the work where it can be ended, and what is queued
   * in any case: a call of a neural model runs to its end, and nothing comes after it.
   * @throws {SynthesisError} or {InferenceError}; the signal's reason when aborted
   */
  speak(piece: SpeechPiece, signal?: AbortSignal): Promise<Int16Array>;
  /** Ends what runs; that fails with `synthesis_closed`. */
  close(): Promise<void>;
}
