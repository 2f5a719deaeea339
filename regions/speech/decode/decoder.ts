import { AudioError } from "./audio-error.ts";
import type { AudioHeader, AudioInfo } from "./audio-info.ts";
import { createBlocks } from "./create-blocks.ts";
import { createSlots } from "./create-slots.ts";
import { DecoderChild } from "./decoder-child.ts";
import { DecoderError } from "./decoder-error.ts";

export interface DecoderOptions {
  /** Decoder processes at most, which is how many files are decoded at once; further ones wait. */
  maxProcesses?: number;
  /** A process is replaced after this many files, so that a leak in native code stays small. */
  jobsPerProcess?: number;
  /** A process is replaced after a file that failed inside FFmpeg, lest a hostile one reads the next. */
  replaceAfterFailure?: boolean;
  /** A decoder that is silent for so long while its reader waits is killed. */
  stallMs?: number;
  /** Told of each process that is started. */
  onSpawn?: (pid: number | undefined) => void;
}

export interface DecodeOptions {
  signal?: AbortSignal;
  /** Longest recording that is decoded, seconds. */
  maxDurationS?: number;
  /** A block's memory is used again after so many more; without it, every block is its reader's for good. */
  reuseAfter?: number;
  /** Called before the first block. What it throws ends the decode with that error. */
  onHeader?: (header: AudioHeader) => void;
  /** Called after the last block, before the iteration ends. */
  onInfo?: (info: AudioInfo) => void;
}

/** A block of 16 kHz mono samples in [-1, 1] (float files may exceed it), one second long save for the last. */
export type AudioBlock = Float32Array<SharedArrayBuffer>;

export interface Decoder {
  /**
   * Decodes a local regular file. Memory stays bounded: a reader that pauses stops the decoder.
   * Leaving the loop early, or aborting, kills the process that decodes.
   * @throws {AudioError} when the recording is at fault
   * @throws {DecoderError} when the decoder died, hung or was closed: worth another try
   */
  decode(path: string, options?: DecodeOptions): AsyncIterable<AudioBlock>;
  /** Ends all processes; decodes in progress fail with `decoder_closed`. */
  close(): Promise<void>;
}

const DAY_S = 86_400;

/** Decoding in processes of its own; they start when needed and stay for the next file. */
export function createDecoder(options: DecoderOptions = {}): Decoder {
  const {
    maxProcesses = 2,
    jobsPerProcess = 100,
    replaceAfterFailure = true,
    stallMs = 30_000,
    onSpawn,
  } = options;
  const slots = createSlots(maxProcesses);
  const idle: DecoderChild[] = [];
  const children = new Set<DecoderChild>();
  const closing = new AbortController();

  function acquire(): DecoderChild {
    for (let child = idle.pop(); child !== undefined; child = idle.pop()) {
      if (child.alive) return child;
      discard(child);
    }
    const child = new DecoderChild();
    children.add(child);
    onSpawn?.(child.pid);
    return child;
  }

  function discard(child: DecoderChild): void {
    void child.kill().finally(() => children.delete(child));
  }

  async function* decode(path: string, job: DecodeOptions = {}): AsyncGenerator<AudioBlock> {
    const { signal, maxDurationS = DAY_S, onHeader, onInfo } = job;
    const makeBlock = createBlocks(job.reuseAfter);
    const stop = signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal]);
    let child: DecoderChild | undefined;
    let reusable = false;
    let release: (() => void) | undefined;
    try {
      release = await slots.acquire(stop);
      child = acquire();
      child.start({ type: "decode", path, max_duration_s: maxDurationS });
      for (;;) {
        const frame = await child.next({ stallMs, signal: stop, makeBlock });
        if (frame.kind === "samples") {
          yield frame.samples;
        } else if (frame.message.type === "header") {
          onHeader?.(frame.message.header);
        } else if (frame.message.type === "done") {
          reusable = true;
          onInfo?.(frame.message.info);
          return;
        } else {
          const { code, message, exposed } = frame.message;
          reusable = code !== "decoder_crashed" && !(exposed && replaceAfterFailure);
          if (code === "file_unreadable" || code === "decoder_crashed")
            throw new DecoderError(code, message);
          throw new AudioError(code, message);
        }
      }
    } catch (error) {
      if (closing.signal.aborted)
        throw new DecoderError("decoder_closed", "The decoder was closed.");
      throw error;
    } finally {
      if (child !== undefined) {
        if (reusable && child.jobs < jobsPerProcess && !closing.signal.aborted) idle.push(child);
        else discard(child);
      }
      release?.();
    }
  }

  return {
    decode,
    async close() {
      closing.abort();
      await Promise.all([...children].map((child) => child.kill()));
      children.clear();
    },
  };
}
