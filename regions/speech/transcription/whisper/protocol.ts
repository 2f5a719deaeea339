import type { EngineFile } from "../neural/model-files.ts";
import type { WindowPlace } from "../neural/protocol.ts";

/** How a Whisper thread is started. */
export interface WhisperThreadData {
  files: readonly EngineFile[];
  /** Threads that one run may use on the CPU. */
  threads: number;
  task: "transcribe" | "translate";
  maxTokens: number | undefined;
  temperatures: readonly number[] | undefined;
}

/** A window of 480,000 samples at most. */
export interface WhisperWindow extends WindowPlace {
  /** Detected when absent. */
  language: string | undefined;
}

/** What was said in a window; times count from its start. No pieces where nothing was, or nothing that can be believed. */
export interface HeardWindow {
  id: number;
  pieces: { start_s: number; end_s: number; text: string }[];
  language: string;
  language_probability: number;
  no_speech: number;
  average_logprob: number;
  temperature: number;
  verdict: "plausible" | "unsure" | "silence" | "repetitive";
}
