import { TranscriptionRefusal } from "../transcription-refusal.ts";

export type ModelFault =
  /** A file that such a model consists of is not there. */
  | "missing"
  /** A file cannot be read, or is not what its hash says. */
  | "corrupt"
  /** The files are whole and are not a model that this engine can run. */
  | "mismatch";

/** The model's files are at fault; another attempt would meet the same ones. */
export class ModelFaultError extends TranscriptionRefusal {
  override readonly name = "ModelFaultError";
  readonly fault: ModelFault;

  constructor(fault: ModelFault, message: string) {
    super("model_unusable", message);
    this.fault = fault;
  }
}
