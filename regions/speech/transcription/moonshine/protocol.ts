import type { EngineFile } from "../neural/model-files.ts";

/** How a Moonshine thread is started. */
export interface MoonshineThreadData {
  files: readonly EngineFile[];
  /** Threads that one run may use on the CPU. */
  threads: number;
}

/** What was said in a window: no text where nothing was, or nothing that can be believed. */
export interface HeardSamples {
  id: number;
  text: string;
  average_logprob: number;
  /** `repetitive`: its text went round in circles, and is not to be believed. */
  verdict: "plausible" | "repetitive";
}
