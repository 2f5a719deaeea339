import type { ModelFile } from "../models/resolve-model.ts";
import type { VoiceActivityState } from "../voice-activity/voice-activity-state.ts";
import type { InferenceErrorCode } from "./inference-error.ts";

/** Work by task: what goes to the thread and what comes back. A new engine adds an entry here and a runner. */
export interface InferenceTasks {
  voice_activity: {
    input: {
      /** 16 kHz mono, a whole number of 512-sample windows; shared memory, so it is not copied. */
      samples: Float32Array<SharedArrayBuffer>;
      state: VoiceActivityState;
    };
    output: {
      /** Probability of speech in each window. */
      probabilities: Float32Array<ArrayBuffer>;
      state: VoiceActivityState;
      /** Time inside the model. */
      inference_ms: number;
    };
  };
}
export type InferenceTask = keyof InferenceTasks;

/** To the inference thread. Requests carry all the state they need, so a thread that dies takes no stream with it. */
export type InferenceRequest =
  | {
      [T in InferenceTask]: {
        type: "run";
        id: number;
        task: T;
        model: ModelFile;
        input: InferenceTasks[T]["input"];
      };
    }[InferenceTask]
  | { type: "cancel"; id: number }
  | { type: "close" };

/** From the inference thread: one for each run that was not cancelled in time. */
export type InferenceReply =
  | { type: "result"; id: number; output: InferenceTasks[InferenceTask]["output"] }
  | { type: "failed"; id: number; code: InferenceErrorCode; message: string };
