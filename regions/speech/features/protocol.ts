import type { SpeechSegment } from "../../../shared/contracts/analysis-result.ts";
import type { VoiceMeasures } from "../measure-voice.ts";

/** To the features thread. Each recording has an id; the first `push` opens it, `finish` or `drop` ends it. */
export type FeaturesRequest =
  | {
      type: "push";
      id: number;
      /** 16 kHz mono; shared memory, so it is not copied, and read only. */
      samples: Float32Array<SharedArrayBuffer>;
    }
  | { type: "finish"; id: number; speech: readonly SpeechSegment[] | undefined }
  | { type: "drop"; id: number };

/** From the features thread: one for each `push` and `finish`, in their order, save those of dropped recordings. */
export type FeaturesReply =
  | { type: "taken"; id: number }
  | { type: "measured"; id: number; measures: VoiceMeasures; compute_ms: number }
  | { type: "failed"; id: number; message: string };
