/** Samples in one window of the model, at 16 kHz (32 ms). */
export const WINDOW = 512;
/** Samples before a window that the model sees again. */
export const CONTEXT = 64;
/** Length of the model's recurrent state, [2, 1, 128]. */
export const RECURRENT = 256;

/** Everything the model remembers of a stream between two windows. */
export interface VoiceActivityState {
  recurrent: Float32Array<ArrayBuffer>;
  context: Float32Array<ArrayBuffer>;
}

/** The state before the first sample. */
export function emptyState(): VoiceActivityState {
  return { recurrent: new Float32Array(RECURRENT), context: new Float32Array(CONTEXT) };
}
