import { createHash, randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { inject } from "vitest";
import { createClient, type Client } from "../../shared/client/client.ts";
import type { Job } from "../../shared/contracts/api.ts";
import type { CreateAnalysis } from "../../shared/contracts/job.ts";

export const planet = inject("planet");

const ROOT = join(import.meta.dirname, "../..");
export const fixture = (name: string): Promise<Buffer<ArrayBuffer>> =>
  readFile(join(ROOT, "test/fixtures/audio", name));
export const sample = (): Promise<Buffer<ArrayBuffer>> =>
  readFile(join(ROOT, "samples/hello-antiphon.wav"));

/** The sample, but for its last moment: nobody has sent just this before, so that nothing of it is cached. */
export async function newSample(): Promise<Buffer<ArrayBuffer>> {
  const bytes = await sample();
  bytes.writeInt32LE(randomInt(2 ** 31), bytes.length - 4);
  return bytes;
}

export const sha256 = (bytes: Uint8Array): string =>
  createHash("sha256").update(bytes).digest("hex");

/** A client of the planet under test. */
export function clientOf(
  options: { key?: string; region?: string; retries?: number } = {},
): Client {
  const { key = planet.keys.demo, region, retries } = options;
  return createClient({
    baseUrl: planet.edge,
    apiKey: key,
    region,
    ...(retries === undefined ? {} : { retries }),
  });
}

export const operator: Client = clientOf({ key: planet.keys.operator });

/** Uploads bytes and has them analysed; resolves to the final job. */
export async function analyzeBytes(
  client: Client,
  bytes: Uint8Array<ArrayBuffer>,
  contentType = "audio/wav",
  extra: Partial<Pick<CreateAnalysis, "parts" | "user_id" | "metadata">> = {},
): Promise<Job> {
  const { id } = await submitBytes(client, bytes, contentType, extra);
  return client.waitForJob(id);
}

/** The same, but only up to the acceptance. */
export async function submitBytes(
  client: Client,
  bytes: Uint8Array<ArrayBuffer>,
  contentType = "audio/wav",
  extra: Partial<Pick<CreateAnalysis, "parts" | "user_id" | "metadata">> = {},
): Promise<Job> {
  const upload = await client.createUpload({ content_type: contentType, bytes: bytes.length });
  await client.putUpload(upload, new Blob([bytes]));
  return client.createAnalysis({ upload_id: upload.upload_id, ...extra });
}

/** Rows of a region's own Postgres, read behind the API. */
export async function rows<T extends object>(
  region: string,
  query: string,
  parameters: string[] = [],
): Promise<T[]> {
  const url = planet.databases[region]!.postgres;
  const sql = postgres(url, { max: 1, fetch_types: false, onnotice: () => undefined });
  try {
    return [...(await sql.unsafe<T[]>(query, parameters))];
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** Polls until `probe` gives a value other than undefined; the test's own time-out is the limit. */
export async function eventually<T>(probe: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Resolves once a region's own Postgres has all that was written until now. */
export async function replayedIn(region: string): Promise<void> {
  const [primary] = await rows<{ lsn: string }>("us-east", "select pg_current_wal_lsn()::text lsn");
  const query = "select 1 where pg_last_wal_replay_lsn() >= $1::pg_lsn";
  await eventually(async () => (await rows(region, query, [primary!.lsn]))[0]);
}

/** A call to the planet's control server: take down, bring up, kill, cut, restore. */
export async function control(path: string, body: object = {}): Promise<unknown> {
  const response = await fetch(planet.control.url + path, {
    method: "POST",
    headers: {
      authorization: `Bearer ${planet.control.token}`,
      "content-type": "application/json",
    },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status} ${await response.text()}`);
  return response.json();
}

/** A wav around raw samples: one channel, `bits` each, `rate` a second. */
export function wavOf(
  samples: Uint8Array,
  { rate, bits }: { rate: number; bits: 8 | 16 },
): Uint8Array<ArrayBuffer> {
  const wav = new Uint8Array(44 + samples.length);
  const header = Buffer.from(wav.buffer, 0, 44);
  header.write("RIFF", 0);
  header.writeUInt32LE(36 + samples.length, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE((rate * bits) / 8, 28);
  header.writeUInt16LE(bits / 8, 32);
  header.writeUInt16LE(bits, 34);
  header.write("data", 36);
  header.writeUInt32LE(samples.length, 40);
  wav.set(samples, 44);
  return wav;
}

/** A wav of `seconds` of 16-bit mono at 16 kHz, made of the sample over and over. */
export async function longRecording(seconds: number): Promise<Uint8Array<ArrayBuffer>> {
  const original = await sample();
  const speech = original.subarray(original.indexOf("data") + 8);
  const samples = Buffer.alloc(seconds * 16_000 * 2, speech);
  return wavOf(samples, { rate: 16_000, bits: 16 });
}
