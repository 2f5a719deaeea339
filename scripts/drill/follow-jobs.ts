import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../../shared/client/client.ts";
import type { ClientKind, ClientLedger, Entry } from "./client-ledger.ts";

const AT_ONCE = 8;
const EVERY_MS = 400;
const CALL_MS = 3_000;

export interface FollowOptions {
  ledger: ClientLedger;
  clients: Record<ClientKind, Client>;
  now(): number;
  signal: AbortSignal;
  /** Told each time a job was seen. */
  onSeen?: (entry: Entry) => void;
}

/** Asks for every open job again and again, as its client would, until `signal` is aborted. Answers that fail are asked for again. */
export async function followJobs(options: FollowOptions): Promise<void> {
  const { ledger, signal } = options;
  while (!signal.aborted) {
    await look(ledger.open(), options);
    await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** Asks once for each of these jobs. */
export async function look(
  entries: readonly Entry[],
  { ledger, clients, now, signal, onSeen }: FollowOptions,
): Promise<void> {
  const left = [...entries];
  const one = async (): Promise<void> => {
    for (let entry = left.shift(); entry && !signal.aborted; entry = left.shift()) {
      const within = AbortSignal.any([signal, AbortSignal.timeout(CALL_MS)]);
      const job = await clients[entry.client]
        .getJob(entry.accepted!.jobId, within)
        .catch(() => undefined);
      if (!job) continue;
      ledger.saw(entry, job, now());
      onSeen?.(entry);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
}
