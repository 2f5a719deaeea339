export type DecoderErrorCode =
  | "decoder_crashed"
  | "decoder_stalled"
  | "decoder_closed"
  | "file_unreadable";

/** The decoder failed, not (provably) the recording: the same job may be tried again. */
export class DecoderError extends Error {
  override readonly name = "DecoderError";
  readonly retryable = true;
  readonly code: DecoderErrorCode;

  constructor(code: DecoderErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
