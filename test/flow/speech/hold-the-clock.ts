import { onTestFinished, vi } from "vitest";

/**
 * Holds the clock by which timers of this process run, until the test ends. The returned function lets so many milliseconds pass on
 * it: patience ends when the test says so, and not because a busy machine held up what was waited for.
 */
export function holdTheClock(): (ms: number) => Promise<unknown> {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  return (ms) => vi.advanceTimersByTimeAsync(ms);
}
