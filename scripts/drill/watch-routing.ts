import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../../shared/client/client.ts";

/** Where a request was sent, and when by the drill's clock. */
export interface Routed {
  atMs: number;
  region: string;
}

const EVERY_MS = 150;
const CALL_MS = 3_000;

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
    const within = AbortSignal.any([signal, AbortSignal.timeout(CALL_MS)]);
    const upload = await client
      .createUpload({ content_type: "audio/wav", bytes: 1 }, within)
      .catch(() => undefined);
    if (upload) routed.push({ atMs: now(), region: upload.region });
    await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
  return routed;
}
