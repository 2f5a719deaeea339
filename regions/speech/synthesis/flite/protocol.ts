import { type WasmModule } from "./web-assembly.ts";

/** What the flite threads start with: compiled once, shared by all. */
export interface FliteThreadData {
  module: WasmModule;
}

/** To a flite thread; one at a time. */
export type FliteRequest =
  /** The sound of a text. */
  | { type: "speak"; text: string; voice: string; speed: number }
  /** How a text is pronounced. */
  | { type: "phones"; text: string };

export interface FliteResult {
  speak: Int16Array<ArrayBuffer>;
  /** As flite prints them: “pau hh ax0 l ow1 pau”; digits are the stress of vowels. */
  phones: string;
}

/** From a flite thread. */
export type FliteReply = { result: FliteResult[keyof FliteResult] } | { failed: string };
