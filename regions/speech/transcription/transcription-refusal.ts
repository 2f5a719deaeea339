/** As the catalogue of errors has them. */
export type TranscriptionRefusalCode =
  | "language_unsupported"
  /** The model that was asked for is not here, or does not fit. */
  | "model_unavailable"
  /** The model is here, and its files are at fault. */
  | "model_unusable";

/** What was asked for cannot be done here; another attempt in the same place would meet the same. */
export class TranscriptionRefusal extends Error {
  override readonly name: string = "TranscriptionRefusal";
  readonly code: TranscriptionRefusalCode;
  readonly retryable = false;

  constructor(code: TranscriptionRefusalCode, message: string) {
    super(message);
    this.code = code;
  }
}
