import type { VoiceActivity } from "../../../shared/contracts/analysis-result.ts";
import { SAMPLE_RATE } from "../decode/sample-format.ts";
import type { Inference } from "../inference/create-inference-thread.ts";
import type { RuntimeModel } from "../inference/runtime-model.ts";
import { createVoiceStreams } from "./create-voice-streams.ts";
import type { VoiceStreams } from "./create-voice-streams.ts";
import { defaultSegmentOptions, segmentSpeech } from "./segment-speech.ts";
import type { SegmentOptions } from "./segment-speech.ts";
import { WINDOW } from "./voice-activity-state.ts";

export type VoiceActivityOptions = (
  | { /** Shares calls of the model with the others of these. */ streams: VoiceStreams }
  | { inference: Inference; model: RuntimeModel }
) & {
  segments?: Partial<SegmentOptions>;
  signal?: AbortSignal | undefined;
};

/** Voice activity of one stream of 16 kHz mono samples, in blocks of any size; one `push` at a time. */
export function createVoiceActivity(options: VoiceActivityOptions) {
  const { segments, signal } = options;
  const streams = "streams" in options ? options.streams : createVoiceStreams(options);
  const stream = streams.open({ signal });
  /** Whole windows of a block that does not begin where one does. */
  let joined = new Float32Array(0);
  const rest = new Float32Array(WINDOW);
  let held = 0;
  let samples = 0;
  let inference_ms = 0;
  const probabilities: Float32Array[] = [];

  async function infer(windows: Float32Array): Promise<void> {
    if (windows.length === 0) return;
    const heard = new Float32Array(windows.length / WINDOW);
    inference_ms += await stream.hear(windows, heard);
    probabilities.push(heard);
  }

  async function push(block: Float32Array): Promise<void> {
    samples += block.length;
    if (held === 0 && block.length % WINDOW === 0) return infer(block);
    const total = held + block.length;
    const whole = total - (total % WINDOW);
    if (joined.length < whole) joined = new Float32Array(whole + WINDOW);
    const used = Math.max(0, whole - held);
    if (whole > 0) {
      joined.set(rest.subarray(0, held));
      joined.set(block.subarray(0, used), held);
      held = 0;
    }
    rest.set(block.subarray(used), held);
    held = total - whole;
    return infer(joined.subarray(0, whole));
  }

  /** The last window is filled up with silence. No samples at all give no speech. */
  async function finish(): Promise<VoiceActivity> {
    if (held > 0) {
      rest.fill(0, held);
      held = 0;
      await infer(rest);
    }
    const duration_s = samples / SAMPLE_RATE;
    const found = segmentSpeech(join(probabilities), duration_s, {
      ...defaultSegmentOptions,
      ...segments,
    });
    const speech_s = found.reduce((sum, { start_s, end_s }) => sum + end_s - start_s, 0);
    return {
      speech_ratio: duration_s === 0 ? 0 : Math.min(1, speech_s / duration_s),
      segments: found,
    };
  }

  return {
    push,
    finish,
    /** Gives back what the stream held; without it that is kept as long as the streams that it shares calls with. */
    close: () => stream.close(),
    inferenceMs: () => inference_ms,
  };
}

function join(parts: Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
