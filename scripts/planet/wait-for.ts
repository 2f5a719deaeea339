import { setTimeout as sleep } from "node:timers/promises";

export type WaitOptions = {
  /** Named in the error. */
  what: string;
  timeoutMs?: number;
  everyMs?: number;
  signal?: AbortSignal | undefined;
};

/**
 * Asks `probe` again and again until it gives something other than false or undefined.
 * A probe that throws counts as "not yet"; its last error becomes the cause when time runs out.
 *
 * @throws when the time is up, or with the signal's reason
 */
export async function waitFor<T>(
  probe: (signal: AbortSignal) => Promise<T | false | undefined> | T | false | undefined,
  { what, timeoutMs = 30_000, everyMs = 25, signal }: WaitOptions,
): Promise<T> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const either = signal === undefined ? deadline : AbortSignal.any([deadline, signal]);
  let cause: unknown;
  while (!either.aborted) {
    try {
      const answer = await probe(either);
      if (answer !== false && answer !== undefined) return answer;
    } catch (error) {
      cause = error;
    }
    await sleep(everyMs, undefined, { signal: either }).catch(() => undefined);
  }
  signal?.throwIfAborted();
  throw new Error(`${what}: not within ${timeoutMs / 1000} s`, { cause });
}
