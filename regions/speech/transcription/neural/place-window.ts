import { join } from "node:path";
import type { SpeechSegment } from "../../../../shared/contracts/analysis-result.ts";
import { SAMPLE_RATE } from "../../decode/sample-format.ts";
import type { SpooledAudio } from "../transcription-engine.ts";
import type { WindowPlace } from "./protocol.ts";

/** Samples of an utterance, within the recording. @throws {RangeError} more than the engine hears at once */
export function placeWindow(
  { start_s, end_s }: SpeechSegment,
  audio: SpooledAudio,
  { name, maxSamples }: { name: string; maxSamples: number },
): Omit<WindowPlace, "id"> {
  const from = Math.round(start_s * SAMPLE_RATE);
  const to = Math.min(audio.samples, Math.round(end_s * SAMPLE_RATE));
  if (to - from > maxSamples) {
    throw new RangeError(`${name} hears ${maxSamples / SAMPLE_RATE} s at once.`);
  }
  const path = join(audio.folder, `${audio.name}.pcm`);
  return { path, from, samples: Math.max(0, to - from) };
}
