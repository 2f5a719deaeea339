import type { WhisperModelFault } from "./whisper-error.ts";
import type { WhisperFile } from "./model-files.ts";

/** How a Whisper thread is started. */
export interface WhisperThreadData {
  files: readonly WhisperFile[];
  /** Threads that one run may use on the CPU. */
  threads: number;
  task: "transcribe" | "translate";
  maxTokens: number | undefined;
  temperatures: readonly number[] | undefined;
}

/** Where a window's samples lie: a file of 16-bit little-endian samples at 16 kHz. */
export interface WhisperWindow {
  id: number;
  path: string;
  /** First sample, and how many: 480,000 at most. */
  from: number;
  samples: number;
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

export type WhisperRequest =
  /** One batch; the next is sent when it was answered. */
  | { type: "run"; windows: WhisperWindow[] }
  /** A window leaves its batch at the next token. */
  | { type: "cancel"; id: number }
  | { type: "close" };

export type WhisperReply =
  /** All of the batch but what was cancelled; those that could not be read are said. */
  | { type: "heard"; windows: HeardWindow[]; unread: { id: number; message: string }[] }
  /** A cancelled window is not worked at any more. */
  | { type: "left"; id: number }
  /** The model still works: sent after each run of a graph. */
  | { type: "step" }
  /** `fault` is set when the model is at fault. */
  | { type: "failed"; fault: WhisperModelFault | undefined; message: string };
