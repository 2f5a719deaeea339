export type FeaturesErrorCode =
  | "features_failed"
  | "features_thread_died"
  | "features_stalled"
  | "features_closed";

/** `retryable` tells whether the same recording may succeed on another attempt. */
export class FeaturesError extends Error {
  override readonly name = "FeaturesError";
  readonly code: FeaturesErrorCode;
  readonly retryable: boolean;

  constructor(code: FeaturesErrorCode, message: string) {
    super(message);
    this.code = code;
    this.retryable = code !== "features_failed";
  }
}
