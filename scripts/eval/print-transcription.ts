import type { ClipTranscription, TranscriptionEvaluation } from "./evaluate-transcription.ts";

export function printClip({ clip, reference, heard, words, errors }: ClipTranscription): void {
  console.log(`${clip}: ${errors} of ${words}`);
  if (errors > 0) console.log(`  said   ${reference}\n  heard  ${heard}`);
}

/** Prints what an evaluation comes to: lines for people, or with `json` one line that a program can read. */
export function printTranscription(
  { engine, clips, audio_s, compute_s }: TranscriptionEvaluation,
  json: boolean,
): void {
  const words = clips.reduce((sum, clip) => sum + clip.words, 0);
  const errors = clips.reduce((sum, clip) => sum + clip.errors, 0);
  const round = (value: number, digits: number) => Number(value.toFixed(digits));
  const wer = round(errors / words, 4);
  const rtf = round(compute_s / audio_s, 3);
  if (json) {
    const figures = { clips: clips.length, words, errors, wer, rtf };
    const about = { engine: engine.name, version: engine.version };
    console.log(
      JSON.stringify({ eval: "transcription", ...about, ...figures, audio_s: round(audio_s, 1) }),
    );
    return;
  }
  console.log(
    `\n${engine.name} ${engine.version}: ${errors} of ${words} words wrong over ${clips.length} clips, ${(100 * wer).toFixed(1)} % word errors`,
  );
  console.log(
    `${audio_s.toFixed(1)} s of audio in ${compute_s.toFixed(1)} s: real-time factor ${rtf}`,
  );
}
