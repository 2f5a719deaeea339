import type { ErrorCode } from "../../shared/errors/catalogue.ts";

export interface RetryPauses {
  /** Bound of the first pause, milliseconds; doubled with each further one. */
  baseMs?: number;
  /** No pause is longer. */
  mostMs?: number;
  /** 0 to 1. */
  random?: () => number;
}

/** Errors that pass with an outage, not with the next try: their pauses are as many times longer. */
const slower: Partial<Record<ErrorCode, number>> = { dependency_unavailable: 4, system_busy: 4 };

/**
 * How long a job waits before it is tried again: exponential with full jitter, so that jobs that failed together do not come back
 * together (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
 * @param triedBefore attempts that ended in an error before the one that just did
 */
export function retryPauseMs(
  code: ErrorCode,
  triedBefore: number,
  { baseMs = 1000, mostMs = 60_000, random = Math.random }: RetryPauses = {},
): number {
  return Math.round(random() * Math.min(mostMs, baseMs * (slower[code] ?? 1) * 2 ** triedBefore));
}
