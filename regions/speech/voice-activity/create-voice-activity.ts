import type { VoiceActivity } from "../../../shared/contracts/analysis-result.ts";
import { SAMPLE_RATE } from "../decode/sample-format.ts";
import type { Inference } from "../inference/create-inference-thread.ts";
import type { ModelFile } from "../models/resolve-model.ts";
import { defaultSegmentOptions, segmentSpeech } from "./segment-speech.ts";
import type { SegmentOptions } from "./segment-speech.ts";
import { emptyState, WINDOW } from "./voice-activity-state.ts";

export interface VoiceActivityOptions {
  inference: Inference;
  model: ModelFile;
  segments?: Partial<SegmentOptions>;
  signal?: AbortSignal | undefined;
}

/** Voice activity of one stream of 16 kHz mono samples, in blocks of any size; one `push` at a time. */
export function createVoiceActivity({ inference, model, segments, signal }: VoiceActivityOptions) {
  /** Windows on their way to the model. One call at a time: what is in here has been heard when the next comes. */
  let room = new SharedArrayBuffer(0);
  const rest = new Float32Array(WINDOW);
  let held = 0;
  let samples = 0;
  let inference_ms = 0;
  let state = emptyState();
  const probabilities: Float32Array[] = [];

  async function infer(windows: Float32Array<SharedArrayBuffer>): Promise<void> {
    if (windows.length === 0) return;
    const output = await inference.run(
      "voice_activity",
      model,
      { samples: windows, state },
      { signal },
    );
    state = output.state;
    inference_ms += output.inference_ms;
    probabilities.push(output.probabilities);
  }

  async function push(block: Float32Array<SharedArrayBuffer>): Promise<void> {
    samples += block.length;
    if (held === 0 && block.length % WINDOW === 0) return infer(block);
    const total = held + block.length;
    const whole = total - (total % WINDOW);
    if (room.byteLength < whole * 4) room = new SharedArrayBuffer((whole + WINDOW) * 4);
    const joined = new Float32Array(room, 0, whole);
    const used = Math.max(0, whole - held);
    if (whole > 0) {
      joined.set(rest.subarray(0, held));
      joined.set(block.subarray(0, used), held);
      held = 0;
    }
    rest.set(block.subarray(used), held);
    held = total - whole;
    return infer(joined);
  }

  /** The last window is filled up with silence. No samples at all give no speech. */
  async function finish(): Promise<VoiceActivity> {
    if (held > 0) {
      const last = new Float32Array(new SharedArrayBuffer(WINDOW * 4));
      last.set(rest.subarray(0, held));
      held = 0;
      await infer(last);
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

  return { push, finish, inferenceMs: () => inference_ms };
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
