import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../../shared/client/client.ts";

/** Tells whether a region counts as healthy, as its clients are told. */
export async function watchHealth(
  client: Client,
  region: string,
  signal: AbortSignal,
  onState: (healthy: boolean) => void,
): Promise<void> {
  await watch(client.listRegions, signal, ({ data }) => {
    const found = data.find(({ id }) => id === region);
    if (found) onState(found.healthy);
  });
}

/** Asks twice a second, and passes on what is answered. */
export async function watch<T>(
  ask: () => Promise<T>,
  signal: AbortSignal,
  onAnswer: (answer: T) => void,
): Promise<void> {
  while (!signal.aborted) {
    await ask().then(onAnswer, () => undefined);
    await sleep(500, undefined, { signal }).catch(() => undefined);
  }
}
