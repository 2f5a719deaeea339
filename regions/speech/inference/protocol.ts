import type { ClassifierInput, ClassifierOutput } from "../classifiers/run-classifier.ts";
import type { VoiceActivityState } from "../voice-activity/voice-activity-state.ts";
import type { InferenceErrorCode } from "./inference-error.ts";
import type { RuntimeModel } from "./runtime-model.ts";

/** Work by task: what goes to the thread and what comes back. A new engine adds an entry here and a runner. */
export interface InferenceTasks {
  /** One stream by itself. */
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
  /** Many streams in shared calls. Their windows, states and probabilities are in slots of shared memory. */
  voice_activity_batch: {
    input: {
      /** Per stream, as `voice-slots.ts` says: index into `memory`, slot, windows, which of its two states is the last. */
      items: Int32Array<ArrayBuffer>;
    };
    output: { inference_ms: number };
  };
  /** Windows of speech for a model that says what kind of voice it hears. */
  classify: { input: ClassifierInput; output: ClassifierOutput };
  /** One utterance in a voice of Kokoro: its symbols with a pad at each end, the voice's style, the pace. */
  speak_kokoro: {
    input: { ids: number[]; style: Float32Array<ArrayBuffer>; speed: number };
    output: SpokenUtterance;
  };
  /** One utterance in a Piper voice: its symbols, the scales of noise, length and the lengths' noise, the speaker. */
  speak_piper: {
    input: { ids: number[]; scales: [number, number, number]; speaker: number };
    output: SpokenUtterance;
  };
}

/** Mono samples between -1 and 1, at the rate of the voice. */
interface SpokenUtterance {
  samples: Float32Array<ArrayBuffer>;
  inference_ms: number;
}
export type InferenceTask = keyof InferenceTasks;

/** How a thread loads its models. */
export interface InferenceThreadData {
  threads: number;
  cpuOnly: boolean;
}

/** To the inference thread. Requests carry all the state they need, so a thread that dies takes no stream with it. */
export type InferenceRequest =
  | {
      [T in InferenceTask]: {
        type: "run";
        id: number;
        task: T;
        model: RuntimeModel;
        input: InferenceTasks[T]["input"];
        /** Shared memory that it works in, by the ids under which the thread was given it. */
        memory: number[];
      };
    }[InferenceTask]
  /** Once for each piece of memory and thread: to send a buffer anew with every request costs more than many requests do. */
  | { type: "memory"; id: number; buffer: SharedArrayBuffer }
  | { type: "cancel"; id: number }
  | { type: "close" };

/** From the inference thread: one for each run that was not cancelled in time. */
export type InferenceReply =
  | { type: "result"; id: number; output: InferenceTasks[InferenceTask]["output"] }
  | { type: "failed"; id: number; code: InferenceErrorCode; message: string };
