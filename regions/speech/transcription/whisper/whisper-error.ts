import { TranscriptionRefusal } from "../transcription-refusal.ts";

export type WhisperModelFault =
  /** A file that a Whisper model consists of is not there. */
  | "missing"
  /** A file cannot be read, or is not what its hash says. */
  | "corrupt"
  /** The files are whole and are not a Whisper model that this engine can run. */
  | "mismatch";

/** The model's files are at fault; another attempt would meet the same ones. */
export class WhisperModelError extends TranscriptionRefusal {
  override readonly name = "WhisperModelError";
  readonly fault: WhisperModelFault;

  constructor(fault: WhisperModelFault, message: string) {
    super("model_unusable", message);
    this.fault = fault;
  }
}
