import { setTimeout as sleep } from "node:timers/promises";
import { createBackoff } from "./backoff.ts";

export interface RepeatOptions {
  everyMs: number;
  signal: AbortSignal;
  /** Hears of a failure; the next try comes after a pause that grows, `everyMs` at most. */
  onError(error: unknown): void;
}

/** Runs `work` at once and then every `everyMs`, one run at a time, until the signal is aborted. Never rejects. */
export async function repeat(
  work: (signal: AbortSignal) => Promise<unknown>,
  { everyMs, signal, onError }: RepeatOptions,
): Promise<void> {
  const backoff = createBackoff({ minMs: Math.min(200, everyMs), maxMs: Math.min(5000, everyMs) });
  while (!signal.aborted) {
    try {
      await work(signal);
      backoff.reset();
      await sleep(everyMs, undefined, { signal }).catch(() => undefined);
    } catch (error) {
      if (signal.aborted) return;
      onError(error);
      await backoff.wait(signal);
    }
  }
}
