export type InferenceErrorCode =
  | "model_hash_mismatch"
  | "model_unreadable"
  | "model_mismatch"
  | "model_too_large"
  | "inference_failed"
  | "inference_thread_died"
  | "inference_stalled"
  | "inference_closed";

/** Another attempt would meet the same model. */
const isLasting: Partial<Record<InferenceErrorCode, true>> = {
  model_hash_mismatch: true,
  model_unreadable: true,
  model_mismatch: true,
  model_too_large: true,
};

/** `retryable` tells whether the same request may succeed on another attempt. */
export class InferenceError extends Error {
  override readonly name = "InferenceError";
  readonly code: InferenceErrorCode;
  readonly retryable: boolean;

  constructor(code: InferenceErrorCode, message: string) {
    super(message);
    this.code = code;
    this.retryable = isLasting[code] === undefined;
  }
}
