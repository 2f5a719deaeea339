export type TranscriberErrorCode =
  | "transcriber_crashed"
  | "transcriber_stalled"
  | "transcriber_closed";

/** The machinery of transcription failed, not the recording: worth another attempt. */
export class TranscriberError extends Error {
  override readonly name = "TranscriberError";
  readonly code: TranscriberErrorCode;
  readonly retryable = true;

  constructor(code: TranscriberErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
