export type WhisperModelErrorCode =
  /** A file that a Whisper model consists of is not there. */
  | "whisper_model_missing"
  /** A file cannot be read, or is not what its hash says. */
  | "whisper_model_corrupt"
  /** The files are whole and are not a Whisper model that this engine can run. */
  | "whisper_model_mismatch";

/** The model's files are at fault; another attempt would meet the same ones. */
export class WhisperModelError extends Error {
  override readonly name = "WhisperModelError";
  readonly code: WhisperModelErrorCode;
  readonly retryable = false;

  constructor(code: WhisperModelErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
