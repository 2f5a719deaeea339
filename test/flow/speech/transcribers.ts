import type { UnavailablePart } from "../../../shared/contracts/analysis-result.ts";
import type { TranscriptionEngines } from "../../../regions/speech/transcription/choose-engine.ts";
import type {
  Transcriber,
  TranscriptRecording,
} from "../../../regions/speech/transcription/create-transcriber.ts";
import type { TranscriptionEngine } from "../../../regions/speech/transcription/transcription-engine.ts";

/** A choice of one, which stays open when its transcriber is closed. */
export function only(engine: TranscriptionEngine | UnavailablePart): TranscriptionEngines {
  return { choose: () => Promise.resolve(engine), close: () => Promise.resolve() };
}

/** A recording; that there is no engine is a failure of the test. */
export async function openRecording(
  transcriber: Transcriber,
  options: Parameters<Transcriber["open"]>[0],
): Promise<TranscriptRecording> {
  const opened = await transcriber.open(options);
  if ("status" in opened) throw new Error(opened.reason);
  return opened;
}
