/** What the soak and its worker and keeper processes tell each other. */

/** To a part: "measure" yourself, or "stop". */
export type ToPart = "measure" | "stop";

/** From a part. `rssMb` and `handles` (what keeps its event loop, and open files where the system tells) after a collection of garbage. */
export type FromPart =
  | { type: "ready" }
  | { type: "measured"; rssMb: number; heapMb: number; handles: number };
