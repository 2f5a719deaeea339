import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../../shared/client/client.ts";

/** Where a request was sent, and when by the drill's clock. */
export interface Routed {
  atMs: number;
  region: string;
}

const EVERY_MS = 150;
const CALL_MS = 3_000;

/** Where the edge sends this client's next request; undefined while it does not answer. */
async function whereTo(client: Client, signal: AbortSignal): Promise<string | undefined> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(CALL_MS)]);
  const wanted = { content_type: "audio/wav", bytes: 1 };
  return (await client.createUpload(wanted, within).catch(() => undefined))?.region;
}

/**
 * Asks for an upload again and again, which stores nothing and waits for no region: its answer names the region that the edge gives
 * the next request of this client to. Until `signal` is aborted.
 */
export async function watchRouting(
  client: Client,
  { routed, now, signal }: { routed: Routed[]; now(): number; signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    const region = await whereTo(client, signal);
    if (region !== undefined) routed.push({ atMs: now(), region });
    await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
}

const SHARE_OVER_MS = 4_000;
const NONE_FOR_MS = 12_000;

/**
 * Settles once nearly all requests go to the region, or none have for long, or after so long: while its waits are not yet known well, or
 * it has just come back, others get some, and a fault would find it idle.
 */
export async function untilTakesMost(
  routed: readonly Routed[],
  region: string,
  { withinMs, now, signal }: { withinMs: number; now(): number; signal: AbortSignal },
): Promise<void> {
  const began = now();
  const shareOver = (ms: number) => {
    const those = routed.filter(({ atMs }) => atMs >= now() - ms);
    return those.filter((one) => one.region === region).length / (those.length || 1);
  };
  while (now() - began < withinMs) {
    if (shareOver(SHARE_OVER_MS) >= 0.9) return;
    if (now() - began >= NONE_FOR_MS && shareOver(NONE_FOR_MS) === 0) return;
    await sleep(EVERY_MS, undefined, { signal });
  }
}
