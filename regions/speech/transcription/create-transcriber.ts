import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type {
  Engine,
  SpeechSegment,
  Transcript,
  UnavailablePart,
} from "../../../shared/contracts/analysis-result.ts";
import { createSlots } from "../decode/create-slots.ts";
import type { AudioBlock } from "../decode/decoder.ts";
import { SAMPLE_RATE } from "../decode/sample-format.ts";
import { openSpool } from "./open-spool.ts";
import { planUtterances } from "./plan-utterances.ts";
import { toTranscript } from "./to-transcript.ts";
import type { TranscriptionEngines, TranscriptRequest } from "./choose-engine.ts";
import { TranscriberError } from "./transcriber-error.ts";
import type { TranscriptionEngine } from "./transcription-engine.ts";

export interface TranscriberOptions {
  /** What there is to choose from; they are closed with the transcriber. */
  engines: TranscriptionEngines;
  /** Recordings that are transcribed at once; further ones wait. */
  maxAtOnce?: number;
  /** Existing folder for recordings in work; what a killed process left there is its owner's to remove. */
  folder?: string;
}

/** One recording on its way to a transcript; one call at a time. */
export interface TranscriptRecording {
  push(block: AudioBlock): Promise<void>;
  /**
   * @param speech where speech was heard; nothing else is listened to
   * @param onProgress told which share of the speech is done, in (0, 1]
   * @throws {TranscriberError | TranscriptionRefusal}
   */
  finish(
    speech: readonly SpeechSegment[],
    onProgress?: (fraction: number) => void,
  ): Promise<{ transcript: Transcript; engine: Engine }>;
  /** Removes what is on disk. */
  drop(): Promise<void>;
  /** Time that the engine worked until `finish`, without the wait for its turn. */
  computeMs(): number;
}

export interface Transcriber {
  /**
   * Chooses an engine for a recording; answers why there is none where none is installed.
   * @throws {TranscriptionRefusal} what was asked for cannot be had here
   * @throws {TranscriberError} `transcriber_closed`
   */
  open(
    options: TranscriptRequest & { signal: AbortSignal },
  ): Promise<TranscriptRecording | UnavailablePart>;
  /** The engine that `open` would choose, or why there is none. @throws as `open` */
  describe(request: TranscriptRequest): Promise<Engine | UnavailablePart>;
  /** Ends all that runs, with `transcriber_closed`, and removes its files. */
  close(): Promise<void>;
}

/**
 * Transcription of whole recordings: their samples go to disk while they are decoded, and from there, utterance by
 * utterance, to an engine. Memory does not grow with the recording but for its words.
 */
export function createTranscriber(options: TranscriberOptions): Transcriber {
  const { engines, maxAtOnce = 2, folder = tmpdir() } = options;
  const slots = createSlots(maxAtOnce);
  const closing = new AbortController();
  const open = new Set<Promise<unknown>>();
  let home: Promise<string> | undefined;

  function record(
    engine: TranscriptionEngine,
    language: string | undefined,
    signal: AbortSignal,
  ): TranscriptRecording {
    const stop = AbortSignal.any([signal, closing.signal]);
    home ??= mkdtemp(join(folder, "antiphon-speech-"));
    const spool = home.then(openSpool);
    // Whoever pushes first is told; until then it is not an unhandled failure.
    spool.catch(() => undefined);
    let compute_ms = 0;

    return {
      async push(block) {
        stop.throwIfAborted();
        await (await spool).push(block);
      },
      async finish(speech, onProgress) {
        const { finish, quietest } = await spool;
        const audio = await finish();
        const length_s = audio.samples / SAMPLE_RATE;
        const utterances = planUtterances(speech, length_s, quietest, engine.utterances);
        const total_s = lengthOf(utterances);
        let done_s = 0;
        const release = await slots.acquire(stop);
        const start = performance.now();
        try {
          const work = engine.transcribe(audio, utterances, {
            signal: stop,
            language,
            onUtterance: (utterance) => {
              done_s += lengthOf([utterance]);
              onProgress?.(Math.min(1, done_s / total_s));
            },
          });
          const settled = work.catch(() => undefined);
          open.add(settled);
          const spoken = await work.finally(() => open.delete(settled));
          const known = await engine.languages();
          const asked = language ?? (known.length === 1 ? known[0] : undefined);
          return {
            transcript: toTranscript(spoken, engine, asked),
            engine: await engine.describe(),
          };
        } finally {
          compute_ms = performance.now() - start;
          release();
        }
      },
      async drop() {
        // Without a file there is nothing to remove.
        const opened = await spool.catch(() => undefined);
        await opened?.drop();
      },
      computeMs: () => compute_ms,
    };
  }

  return {
    async open({ signal, model, language }) {
      if (closing.signal.aborted) throw closing.signal.reason;
      const engine = await engines.choose({ model, language });
      if (closing.signal.aborted) throw closing.signal.reason;
      return "status" in engine ? engine : record(engine, language, signal);
    },
    async describe(request) {
      const engine = await engines.choose(request);
      return "status" in engine ? engine : engine.describe();
    },
    async close() {
      closing.abort(new TranscriberError("transcriber_closed", "The transcriber was closed."));
      await Promise.all([...open, engines.close()]);
      const made = await home?.catch(() => undefined);
      if (made !== undefined) await rm(made, { recursive: true, force: true });
    },
  };
}

function lengthOf(segments: readonly SpeechSegment[]): number {
  return segments.reduce((sum, { start_s, end_s }) => sum + end_s - start_s, 0);
}
