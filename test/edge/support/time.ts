import { onTestFinished, vi } from "vitest";

/** Far enough ahead that no real alarm rings meanwhile, and no open job is due by itself. */
export const AHEAD_MS = 10 * 60_000;

/** The time of day stands still until the test's end, also in objects; timers go on. Each look of `expect.poll` moves it by its 20 ms. */
export function holdTime(): void {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
  onTestFinished(() => void vi.useRealTimers());
}

/** The alarms that an object sets from now on are late enough that none rings by itself: the test rings them. */
export function putOffAlarms({ storage }: DurableObjectState): void {
  const setAlarm = storage.setAlarm.bind(storage);
  storage.setAlarm = (at, options) => setAlarm(Number(at) + AHEAD_MS, options);
}
