import { type WasmModule } from "./web-assembly.ts";

/** What the flite threads start with: compiled once, shared by all. */
export interface FliteThreadData {
  module: WasmModule;
}

/** To a flite thread; one at a time. */
export interface FliteRequest {
  text: string;
  voice: string;
  speed: number;
}

/** From a flite thread. */
export type FliteReply = { samples: Int16Array<ArrayBuffer> } | { failed: string };
