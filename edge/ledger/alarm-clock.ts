export interface AlarmClock {
  /** Makes sure that the alarm rings at `atMs` (Unix) or before. */
  wakeBy(atMs: number): Promise<void>;
  /** To be called first thing in the alarm: it is spent then. */
  rang(): void;
}

/** A Durable Object has one alarm; this moves it only ever forward, and remembers it to save reads. */
export function createAlarmClock(storage: DurableObjectStorage): AlarmClock {
  let setFor: number | undefined;

  async function wakeBy(atMs: number): Promise<void> {
    setFor ??= (await storage.getAlarm()) ?? Number.POSITIVE_INFINITY;
    if (atMs >= setFor) return;
    setFor = atMs;
    await storage.setAlarm(atMs);
  }

  return { wakeBy, rang: () => void (setFor = Number.POSITIVE_INFINITY) };
}
