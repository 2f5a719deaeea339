import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { audioKey, speechKey, uploadKey, type Owner } from "../../shared/contracts/object-keys.ts";
import {
  MAX_SPEECH_CHARACTERS,
  speechContentType,
  type SpeechFormat,
} from "../../shared/contracts/speech.ts";
import type { SpeechTask } from "../../shared/contracts/job.ts";
import type { ErrorCode } from "../../shared/errors/catalogue.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { defaultPrices, type PriceTable } from "../../shared/policies/price.ts";
import type { Logger } from "../ops/logger.ts";
import { failed, spoken } from "../queue/completion.ts";
import type { Completion, Run } from "../queue/queue-port.ts";
import type { PreparedSpeech, Synthesizer } from "../speech/synthesis/create-synthesizer.ts";
import { setWavLengths } from "../speech/synthesis/encode/wav-header.ts";
import type { ObjectStore } from "../store/object-store-port.ts";
import { DURATION, keptDuration, MAX_KEPT_SPEECH_BYTES } from "../store/kept-speech.ts";
import { runCost } from "./run-cost.ts";
import { clockOf, type RunJob, type RunJobOptions } from "./run-job.ts";

export interface RunSpeechJobParts {
  region: string;
  objects: Pick<ObjectStore, "get" | "getText" | "head" | "put">;
  synthesizer: Pick<Synthesizer, "prepare">;
  logger: Logger;
  prices?: PriceTable;
}

interface Speech {
  audio: Buffer;
  duration_s: number;
  /** Absent: it was found again. */
  made?: { characters: number; engine_ms: number };
}

/** UTF-8 takes four bytes at most. */
const MAX_TEXT_BYTES = 4 * MAX_SPEECH_CHARACTERS;

/** What is wrong with the text or the voice: another attempt ends the same way. */
const finalCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "upload_not_found",
  "text_empty",
  "text_language_unsupported",
  "language_unsupported",
  "voice_not_installed",
  "invalid_request",
]);

/**
 * Speaks the text of a job: audio at its content address. It is found again where it was spoken before, by a job or while a client
 * listened, and kept for both.
 */
export function createRunSpeechJob(parts: RunSpeechJobParts): RunJob {
  const { region, objects, synthesizer, logger, prices = defaultPrices } = parts;

  async function readText(
    owner: Owner,
    uploadId: string,
    { text }: SpeechTask,
    signal: AbortSignal,
  ): Promise<string> {
    const key = uploadKey(owner, uploadId);
    const found = await objects.getText(key, MAX_TEXT_BYTES, { range: text, signal });
    if (found === undefined) throw new ApiError("upload_not_found");
    return found;
  }

  /** Undefined where it was not spoken before, or is not to be had now. */
  async function findAgain(key: string, signal: AbortSignal): Promise<Speech | undefined> {
    try {
      const found = await objects.get(key, { signal });
      if (found === undefined) return undefined;
      const duration_s = keptDuration(found);
      if (duration_s === undefined || found.bytes > MAX_KEPT_SPEECH_BYTES) {
        found.body.destroy();
        return undefined;
      }
      const audio = await buffer(found.body);
      return audio.length === found.bytes ? { audio, duration_s } : undefined;
    } catch (error) {
      signal.throwIfAborted();
      logger.debug({ err: error }, "speech is made anew, for what was kept cannot be read");
      return undefined;
    }
  }

  async function make(prepared: PreparedSpeech, signal: AbortSignal): Promise<Speech> {
    const chunks: Uint8Array[] = [];
    let summary: { characters: number; duration_s: number; engine_ms: number } | undefined;
    for await (const bytes of prepared.audio(signal, (known) => (summary = known))) {
      chunks.push(bytes);
    }
    signal.throwIfAborted();
    if (!summary) throw new Error("the voice engine ended without a word about it");
    return { audio: Buffer.concat(chunks), duration_s: summary.duration_s, made: summary };
  }

  /** For the next one who asks for the same; what cannot be kept is made anew then. */
  async function keep(key: string, { audio, duration_s }: Speech, format: SpeechFormat) {
    if (audio.length > MAX_KEPT_SPEECH_BYTES) return;
    const contentType = speechContentType[format];
    await objects
      .put(key, audio, { contentType, metadata: { [DURATION]: String(duration_s) } })
      .catch((error: unknown) => logger.warn({ err: error }, "speech could not be kept"));
  }

  async function speak(
    run: Run,
    task: SpeechTask,
    now: () => number,
    { signal }: RunJobOptions,
  ): Promise<Completion> {
    const { spec, epoch, startedAtMs } = run;
    const owner = { residency: spec.residency, tenantId: spec.tenant_id };
    const { voice, response_format: format, speed } = task;
    const input = await readText(owner, spec.upload_id, task, signal);
    const prepared = synthesizer.prepare({ input, voice, format, speed });
    const kept = speechKey(owner, prepared.contentKey, format);
    const known = await findAgain(kept, signal);
    const speech = known ?? (await make(prepared, signal));
    if (!known) await keep(kept, speech, format);

    // As a file: what was streamed began before its length was known.
    if (format === "wav") setWavLengths(speech.audio);
    const sha256 = createHash("sha256").update(speech.audio).digest("hex");
    const target = audioKey(owner, sha256, format);
    if (!(await objects.head(target, { signal }))) {
      const contentType = speechContentType[format];
      await objects.put(target, speech.audio, { contentType, signal });
    }
    const { made } = speech;
    return spoken({
      spec,
      epoch,
      region,
      startedAtMs,
      finishedAtMs: now(),
      cost: runCost(made ? { speech: made.engine_ms } : {}, prices),
      audio: {
        sha256,
        bytes: speech.audio.length,
        duration_s: speech.duration_s,
        extension: format,
      },
      ...(made ? { made } : {}),
    });
  }

  return async (run, options) => {
    const { spec, epoch, startedAtMs } = run;
    const now = clockOf(run);
    const fail = (code: ErrorCode, detail?: string) =>
      failed({
        spec,
        epoch,
        region,
        startedAtMs,
        finishedAtMs: now(),
        code,
        ...(detail === undefined ? {} : { detail }),
      });
    if (!spec.speech) return fail("internal", "The job does not say what is to be spoken.");
    try {
      return await speak(run, spec.speech, now, options);
    } catch (error) {
      options.signal.throwIfAborted();
      if (error instanceof ApiError && finalCodes.has(error.code)) {
        return fail(error.code, error.message);
      }
      throw error;
    }
  };
}
