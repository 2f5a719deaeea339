import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../../shared/client/client.ts";

/** Where a request was sent, and when by the drill's clock. */
export interface Routed {
  atMs: number;
  region: string;
}

const EVERY_MS = 150;
const CALL_MS = 3_000;

/** So many in a row to one region: it has whatever share it is going to have. */
const IN_A_ROW = 20;

/**
 * Settles once this client's requests all go to one region, or after so long: a region that was just started takes its share step by step,
 * as one does that comes back.
 */
export async function untilRoutingRests(
  client: Client,
  { withinMs, signal }: { withinMs: number; signal: AbortSignal },
): Promise<void> {
  const end = performance.now() + withinMs;
  let last: string | undefined;
  for (let row = 0; row < IN_A_ROW && performance.now() < end;) {
    const region = await whereTo(client, signal);
    row = region !== undefined && region === last ? row + 1 : 0;
    last = region;
    await sleep(EVERY_MS, undefined, { signal });
  }
}

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
  now: () => number,
  signal: AbortSignal,
): Promise<Routed[]> {
  const routed: Routed[] = [];
  while (!signal.aborted) {
    const region = await whereTo(client, signal);
    if (region !== undefined) routed.push({ atMs: now(), region });
    await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
  return routed;
}
