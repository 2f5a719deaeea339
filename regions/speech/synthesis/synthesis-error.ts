export type SynthesisErrorCode =
  | "synthesis_crashed"
  | "synthesis_stalled"
  | "synthesis_closed"
  | "voice_model_missing"
  | "voice_model_corrupt";

/** The engine or the encoder failed, not the text: the same request may be tried again, or elsewhere. */
export class SynthesisError extends Error {
  override readonly name = "SynthesisError";
  readonly code: SynthesisErrorCode;

  constructor(code: SynthesisErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
