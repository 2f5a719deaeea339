import { createSlots } from "../../decode/create-slots.ts";
import { SynthesisError } from "../synthesis-error.ts";
import { EncoderChild } from "./encoder-child.ts";
import type { EncodedFormat } from "./protocol.ts";

export interface EncoderPoolOptions {
  /** Processes at most, which is how many recordings are encoded at once; further ones wait. */
  maxProcesses?: number;
  /** Processes that stay when there is nothing to do: each is 100 MB. */
  maxIdle?: number;
  /** A process is replaced after so many jobs, so that a leak in native code stays small. */
  jobsPerProcess?: number;
  /** An encoder that was given all and is silent for so long is killed. */
  stallMs?: number;
}

export interface EncodeOptions {
  format: EncodedFormat;
  /** Of the samples, Hz. */
  rate: number;
  signal: AbortSignal;
}

export interface EncoderPool {
  /**
   * Encodes mono samples as they come. Memory stays bounded: a reader that pauses stops the source.
   * @throws {SynthesisError}; what the source throws; the signal's reason when aborted
   */
  encode(source: AsyncIterable<Int16Array>, options: EncodeOptions): AsyncGenerator<Uint8Array>;
  close(): Promise<void>;
}

/** Encoding in processes of its own; they start when needed and stay for the next job. */
export function createEncoderPool(options: EncoderPoolOptions = {}): EncoderPool {
  const { maxProcesses = 8, maxIdle = 2, jobsPerProcess = 100, stallMs = 30_000 } = options;
  const slots = createSlots(maxProcesses);
  const idle: EncoderChild[] = [];
  const children = new Set<EncoderChild>();
  const closing = new AbortController();

  function acquire(): EncoderChild {
    for (let child = idle.pop(); child !== undefined; child = idle.pop()) {
      if (child.alive) return child;
      discard(child);
    }
    const child = new EncoderChild();
    children.add(child);
    return child;
  }

  function discard(child: EncoderChild): void {
    void child.kill().finally(() => children.delete(child));
  }

  async function* encode(
    source: AsyncIterable<Int16Array>,
    { format, rate, signal }: EncodeOptions,
  ): AsyncGenerator<Uint8Array> {
    const release = await slots.acquire(AbortSignal.any([signal, closing.signal]));
    const child = acquire();
    const ending = new AbortController();
    const stop = AbortSignal.any([signal, closing.signal, ending.signal]);
    const kill = () => discard(child);
    stop.addEventListener("abort", kill, { once: true });
    let failure: unknown;
    let timer: NodeJS.Timeout | undefined;
    let reusable = false;
    let fed = false;
    let awaited = false;

    /** Only silence while someone listens is a stall: a slow reader stops the encoder rightly. */
    function watch(): void {
      clearTimeout(timer);
      if (!fed || !awaited) return;
      timer = setTimeout(() => {
        failure = new SynthesisError("synthesis_stalled", `No encoding in ${stallMs} ms.`);
        kill();
      }, stallMs);
    }

    async function next(): Promise<Uint8Array | undefined> {
      awaited = true;
      watch();
      const bytes = await child.next();
      awaited = false;
      watch();
      return bytes;
    }

    async function feed(): Promise<void> {
      for await (const samples of source) {
        if (stop.aborted) return;
        await child.write(samples);
      }
      if (stop.aborted) return;
      await child.write();
      fed = true;
      watch();
    }

    try {
      child.start({ type: "encode", format, rate });
      feed().catch((error: unknown) => {
        failure = error;
        kill();
      });
      for (let bytes = await next(); bytes !== undefined; bytes = await next()) yield bytes;
      reusable = true;
    } catch (error) {
      signal.throwIfAborted();
      throw failure ?? error;
    } finally {
      clearTimeout(timer);
      stop.removeEventListener("abort", kill);
      ending.abort();
      const worn = child.jobs >= jobsPerProcess || closing.signal.aborted;
      if (reusable && child.alive && !worn && idle.length < maxIdle) idle.push(child);
      else discard(child);
      release();
    }
  }

  return {
    encode,
    async close() {
      closing.abort();
      await Promise.all([...children].map((child) => child.kill()));
      children.clear();
    },
  };
}
