import { randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient, type Client } from "../../shared/client/client.ts";
import type { ClientKind, ClientLedger, Entry } from "./client-ledger.ts";

const SAMPLE = join(import.meta.dirname, "../../samples/hello-antiphon.wav");

/** A client gives one call so long, and then tries anew. Milliseconds. */
const CALL_MS = 3_000;
const DURABLE_CALL_MS = 20_000;
const PAUSE_MS = 200;
/** One of so many recordings is so many times as long, so that some jobs run when the fault comes. */
const LONG_EVERY = 8;
const LONG_TIMES = 15;
/** A client gives up what was not accepted for so long; nothing was promised then. */
const GIVE_UP_MS = 60_000;

export interface LoadOptions {
  ledger: ClientLedger;
  clients: Partial<Record<ClientKind, { client: Client; everyMs: number }>>;
  durability: "region" | "multi_region";
  /** Where the ends of jobs are told. */
  webhookUrl: string;
  /** Milliseconds of the drill's clock. */
  now(): number;
  /** Ends the stream of new requests; those under way go on until they are accepted. */
  signal: AbortSignal;
  /** Ends those too. */
  stop: AbortSignal;
  onAccepted?: (entry: Entry) => void;
  onFailure?: (entry: Entry, what: string) => void;
}

/** Sends requests at a fixed pace, whatever comes back; settles once the last one is accepted or given up. */
export async function runLoad(options: LoadOptions): Promise<void> {
  const { clients, signal } = options;
  const original = await readFile(SAMPLE);
  const running: Promise<void>[] = [];
  const kinds = Object.keys(clients) as ClientKind[];
  await Promise.all(
    kinds.map(async (kind) => {
      while (!signal.aborted) {
        const long = running.length % LONG_EVERY === 0;
        running.push(request(kind, newRecording(original, long ? LONG_TIMES : 1), options));
        await sleep(clients[kind]!.everyMs, undefined, { signal }).catch(() => undefined);
      }
    }),
  );
  await Promise.all(running);
}

/** What a client does for one recording: upload and job, again and again until it is promised. */
async function request(
  kind: ClientKind,
  recording: Blob,
  { ledger, clients, durability, webhookUrl, stop, now, onAccepted, onFailure }: LoadOptions,
): Promise<void> {
  const { client } = clients[kind]!;
  const entry = ledger.begin(kind, now());
  /** One call of the client's, with its limit; what it took is noted. */
  const call = async <T>(
    what: string,
    make: (signal: AbortSignal) => Promise<T>,
    ms = CALL_MS,
  ): Promise<T> => {
    const began = now();
    const within = AbortSignal.any([stop, AbortSignal.timeout(ms)]);
    const outcome = await make(within).then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    const ok = "value" in outcome;
    entry.calls.push({ what, tookMs: now() - began, ok });
    if (ok) return outcome.value;
    throw outcome.error;
  };
  while (!entry.accepted && !stop.aborted && now() - entry.startedMs < GIVE_UP_MS) {
    try {
      const bytes = recording.size;
      const wanted = { content_type: "audio/wav", bytes, durability };
      const upload = await call("upload", (within) => client.createUpload(wanted, within));
      const put = `put to ${upload.region}`;
      await call(put, (within) => client.putUpload(upload, recording, within));
      const job = await call(
        "analysis",
        (within) =>
          client.createAnalysis(
            {
              upload_id: upload.upload_id,
              parts: ["features", "voice_activity"],
              webhook_url: webhookUrl,
            },
            within,
          ),
        // A second copy takes its time.
        durability === "multi_region" ? DURABLE_CALL_MS : CALL_MS,
      );
      entry.accepted = { atMs: now(), jobId: job.id, region: job.region };
      onAccepted?.(entry);
      ledger.saw(entry, job, now());
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      entry.failures.push({ atMs: now(), what });
      onFailure?.(entry, what);
      await sleep(PAUSE_MS);
    }
  }
}

/** The sample so many times over, but for its last moment: nobody has sent just this before, so nothing of it is known. */
function newRecording(original: Buffer, times: number): Blob {
  const start = original.indexOf("data") + 8;
  const bytes = Buffer.alloc(start + times * (original.length - start));
  original.copy(bytes);
  bytes.fill(original.subarray(start), start);
  bytes.writeUInt32LE(bytes.length - 8, 4);
  bytes.writeUInt32LE(bytes.length - start, start - 4);
  bytes.writeInt32LE(randomInt(2 ** 31), bytes.length - 4);
  return new Blob([bytes]);
}

/** A recording that nobody has sent before, about so many seconds long. */
export async function longRecording(seconds: number): Promise<Blob> {
  const original = await readFile(SAMPLE);
  const bytesPerSecond = original.readUInt32LE(28);
  return newRecording(original, Math.ceil((seconds * bytesPerSecond) / original.length));
}

/** A client that leaves all retries to the load, so that each failure is seen. */
export const drillClient = (baseUrl: string, apiKey: string): Client =>
  createClient({ baseUrl, apiKey, retries: 0 });
