import type { TranscriptionFormat } from "../../shared/contracts/transcription.ts";
import { formatTranscript } from "../../shared/transcripts/format-transcript.ts";
import { analyzeFile } from "./analyze-file.ts";
import { connect, type ConnectionOptions } from "./connection.ts";
import { renderJob } from "./render-job.ts";

export interface TranscribeOptions extends ConnectionOptions {
  format: TranscriptionFormat;
  /** ISO 639-1, and a model's name; the best that is installed finds the language out when absent. */
  language?: string;
  model?: string;
  /** The whole job in place of the transcript. */
  json?: boolean;
}

/** Uploads a file, has it transcribed, and prints what was said. Resolves to the exit code. */
export async function transcribe(
  path: string,
  { format, json, language, model, ...connection }: TranscribeOptions,
  signal: AbortSignal,
): Promise<number> {
  const client = await connect(connection);
  const job = await analyzeFile({
    client,
    path,
    parts: ["transcript"],
    priority: "interactive",
    language,
    model,
    signal,
  });
  const transcript = job.result?.transcript;
  if (json) {
    process.stdout.write(`${JSON.stringify(job, null, 2)}\n`);
    return transcript !== undefined && !("status" in transcript) ? 0 : 1;
  }
  if (!job.result || !transcript) {
    process.stderr.write(`${renderJob(job)}\n`);
    return 1;
  }
  if ("status" in transcript) {
    const { reason, install } = transcript;
    process.stderr.write(`${reason}${install ? ` To install one: ${install}` : ""}\n`);
    return 1;
  }
  const { body } = formatTranscript(transcript, format, {
    duration_s: job.result.audio.duration_s,
    temperature: 0,
    granularities: ["segment", "word"],
  });
  process.stdout.write(body.endsWith("\n") || body === "" ? body : `${body}\n`);
  if (transcript.text === "") process.stderr.write("(no speech)\n");
  else if (transcript.quality === "fallback") {
    process.stderr.write("(made by the fallback engine: expect wrong words)\n");
  }
  return 0;
}
