export type InferenceErrorCode =
  | "model_hash_mismatch"
  | "model_unreadable"
  | "inference_failed"
  | "inference_thread_died"
  | "inference_stalled"
  | "inference_closed";

/** `retryable` tells whether the same request may succeed on another attempt. */
export class InferenceError extends Error {
  override readonly name = "InferenceError";
  readonly code: InferenceErrorCode;
  readonly retryable: boolean;

  constructor(code: InferenceErrorCode, message: string) {
    super(message);
    this.code = code;
    this.retryable = code !== "model_hash_mismatch" && code !== "model_unreadable";
  }
}
