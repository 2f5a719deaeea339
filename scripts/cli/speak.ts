import { open, rm, stat, type FileHandle } from "node:fs/promises";
import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { pipeline } from "node:stream/promises";
import { SpeechFormat } from "../../shared/contracts/speech.ts";
import { connect, UsageError, type ConnectionOptions } from "./connection.ts";
import { createProgress } from "./progress.ts";
import { finishWav, speechSeconds } from "./speech-file.ts";

export interface SpeakOptions extends ConnectionOptions {
  json?: boolean;
  voice: string;
  format: string;
  speed: string;
  /** A file, or `-` for standard output. */
  out?: string;
  /** As a job: tells its id, and waits for nothing. */
  async?: boolean;
}

/** Speaks a text into a file, and tells what came of it. Resolves to the exit code. */
export async function speak(
  input: string,
  options: SpeakOptions,
  signal: AbortSignal,
): Promise<number> {
  const format = SpeechFormat.safeParse(options.format).data;
  if (format === undefined) {
    throw new UsageError(
      `no such format: ${options.format} (there are ${SpeechFormat.options.join(", ")})`,
    );
  }
  const speed = Number(options.speed);
  if (!(speed >= 0.25 && speed <= 4)) throw new UsageError("--speed takes 0.25 to 4");
  const out = options.out ?? `speech.${format}`;
  const client = await connect(options);
  if (options.async) {
    const order = { input, voice: options.voice, response_format: format, speed };
    const accepted = await client.createSpeechJob(order, signal);
    const { job_id, estimated_seconds } = accepted;
    const told = `${job_id}: accepted, done in about ${estimated_seconds} s\nnpm run antiphon -- jobs ${job_id}`;
    process.stdout.write(`${options.json ? JSON.stringify(accepted) : told}\n`);
    return 0;
  }
  const progress = createProgress();
  const began = performance.now();
  let bytes = 0;
  let first: number | undefined;
  let response: Response;
  try {
    progress.show("asking for speech");
    response = await client.createSpeech(
      { input, voice: options.voice, response_format: format, speed },
      signal,
    );
    const source = Readable.fromWeb(response.body as ReadableStream);
    const target = out === "-" ? process.stdout : (await openOutput(out)).createWriteStream();
    const watch = async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        first ??= performance.now() - began;
        bytes += chunk.length;
        progress.show("receiving speech");
        yield chunk;
      }
    };
    try {
      await pipeline(source, watch, target, { signal, end: out !== "-" });
    } catch (error) {
      // Half a recording must not be taken for a whole one.
      if (await isFile(out)) await rm(out);
      throw error;
    }
    if (format === "wav" && (await isFile(out))) await finishWav(out);
  } finally {
    progress.stop();
  }
  const total = performance.now() - began;
  const { headers } = response;
  const facts = {
    file: out,
    bytes,
    duration_s: await speechSeconds(format, bytes, (await isFile(out)) ? out : undefined),
    voice: headers.get("x-antiphon-voice"),
    engine: headers.get("x-antiphon-engine"),
    region: headers.get("x-antiphon-region"),
    cache: headers.get("x-antiphon-cache"),
    first_audio_ms: Math.round(first ?? 0),
    total_ms: Math.round(total),
  };
  // Standard output may be the audio itself.
  const report = out === "-" ? process.stderr : process.stdout;
  report.write(`${options.json ? JSON.stringify(facts) : render(facts)}\n`);
  return 0;
}

/** Opened only once there is speech: what lies there stays when there is none. */
async function openOutput(path: string): Promise<FileHandle> {
  try {
    return await open(path, "w");
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new UsageError(`cannot write ${path} (${reason})`);
  }
}

/** Not so for `-` and devices, which are neither finished nor removed. */
async function isFile(path: string): Promise<boolean> {
  return path !== "-" && (await stat(path).catch(() => undefined))?.isFile() === true;
}

function render(facts: Record<string, string | number | null | undefined>): string {
  const { file, duration_s, voice, engine, region, cache, first_audio_ms, total_ms } = facts;
  const length = typeof duration_s === "number" ? `${duration_s.toFixed(2)} s of speech` : "speech";
  return [
    `${file === "-" ? "standard output" : file}: ${length}`,
    `voice ${voice} (${engine}), in ${region}, cache ${cache}`,
    `first audio after ${first_audio_ms} ms, all after ${total_ms} ms`,
  ].join("\n");
}
