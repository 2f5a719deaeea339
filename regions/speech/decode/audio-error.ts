/** What can be wrong with a recording. The codes are those of the error catalogue. */
export type AudioErrorCode =
  | "audio_empty"
  | "audio_unsupported"
  | "audio_truncated"
  | "audio_corrupt"
  | "audio_too_long"
  | "audio_mislabelled";

export const audioErrorCodes: readonly AudioErrorCode[] = [
  "audio_empty",
  "audio_unsupported",
  "audio_truncated",
  "audio_corrupt",
  "audio_too_long",
  "audio_mislabelled",
];

/** The recording itself is at fault: another attempt with the same bytes ends the same way. */
export class AudioError extends Error {
  override readonly name = "AudioError";
  readonly retryable = false;
  readonly code: AudioErrorCode;

  constructor(code: AudioErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
