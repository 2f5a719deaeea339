import type { ModelFault } from "./model-fault.ts";

/** Where a window's samples lie: a file of 16-bit little-endian samples at 16 kHz. */
export interface WindowPlace {
  id: number;
  path: string;
  /** First sample, and how many: as many as the engine hears at once at most. */
  from: number;
  samples: number;
}

export type WindowRequest<Window extends WindowPlace> =
  /** One batch; the next is sent when it was answered. */
  | { type: "run"; windows: Window[] }
  /** A window leaves its batch at the next token. */
  | { type: "cancel"; id: number }
  | { type: "close" };

/** All of a batch but what was cancelled; those that could not be read are said. */
export interface WindowsHeard<Heard> {
  type: "heard";
  windows: Heard[];
  unread: { id: number; message: string }[];
}

export type WindowReply<Heard> =
  | WindowsHeard<Heard>
  /** A cancelled window is not worked at any more. */
  | { type: "left"; id: number }
  /** The model still works: sent after each run of a graph. */
  | { type: "step" }
  /** `fault` is set when the model is at fault. */
  | { type: "failed"; fault: ModelFault | undefined; message: string };
