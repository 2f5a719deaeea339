import type { Transcript } from "../contracts/analysis-result.ts";
import type { TranscriptionFormat } from "../contracts/transcription.ts";
import { toEvents } from "./to-events.ts";
import { toSrt, toVtt } from "./subtitles.ts";
import { toVerbose } from "./to-verbose.ts";
import type { VerboseOptions } from "./to-verbose.ts";

export interface FormattedTranscript {
  contentType: string;
  body: string;
}

/** A transcript as OpenAI's transcriptions answer in the format that was asked for. */
export function formatTranscript(
  transcript: Transcript,
  format: TranscriptionFormat,
  options: VerboseOptions & { stream?: boolean },
): FormattedTranscript {
  if (options.stream) return { contentType: "text/event-stream", body: toEvents(transcript) };
  const json = (value: unknown) => ({
    contentType: "application/json",
    body: JSON.stringify(value),
  });
  switch (format) {
    case "json":
      return json({ text: transcript.text });
    case "verbose_json":
      return json(toVerbose(transcript, options));
    case "text":
      return { contentType: "text/plain; charset=utf-8", body: `${transcript.text}\n` };
    case "srt":
      // OpenAI says so too; clients that do not know its own type would take it for binary.
      return { contentType: "text/plain; charset=utf-8", body: toSrt(transcript) };
    case "vtt":
      return { contentType: "text/vtt; charset=utf-8", body: toVtt(transcript) };
  }
}
