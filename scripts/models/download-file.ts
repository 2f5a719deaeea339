import { constants } from "node:fs";
import { lstat, open, readFile, rm, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { hashFile } from "./hash-file.ts";
import { PullError, Trouble } from "./pull-error.ts";
import { refusal } from "./refusal.ts";
import { request, toTrouble } from "./request.ts";

/** How long to wait for a server, and how often to ask it again. */
export interface Patience {
  /** Longest silence, ms. */
  idleMs: number;
  /** Attempts in a row that bring nothing new. */
  attempts: number;
  /** Wait after the first failure, ms; it doubles with every further one, up to half a minute. */
  backoffMs: number;
  /** Longest wait that a server may ask for, ms. */
  longestWaitMs: number;
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

export const patience: Patience = {
  idleMs: 30_000,
  attempts: 6,
  backoffMs: 1000,
  longestWaitMs: 300_000,
  wait: (ms, signal) => sleep(ms, undefined, { signal }),
};
const LONGEST_BACKOFF_MS = 30_000;

export interface DownloadOptions {
  url: URL;
  /** Sent as a bearer token, to the origin of `url` alone. */
  token?: string | undefined;
  /** Where it goes. What an earlier download left there is not fetched again. */
  part: string;
  /** What it must be in the end: this long, and of this hash. */
  bytes: number;
  sha256: string;
  patience?: Patience;
  signal: AbortSignal;
  /** Told how many bytes are here. */
  onBytes?(have: number): void;
  /** Told what went wrong before it waits and tries again. */
  onTrouble?(message: string, waitMs: number): void;
}

/** What is written beside a part: which content it is a part of. */
const Note = z.strictObject({ etag: z.string().nullable(), sha256: z.string() });
type Note = z.infer<typeof Note>;

export const noteOf = (part: string): string => `${part}.json`;

/**
 * Fetches a file whose length and hash are known; returns when it is whole and its hash right. A download that was
 * cut, here or in an earlier process, goes on where it stopped, if the server still has the same content. No more is ever
 * written than the length says.
 *
 * @throws {PullError} what cannot be had; an unusable part is then gone, a usable one stays
 * @throws the signal's reason; the part stays
 */
export async function downloadFile(options: DownloadOptions): Promise<void> {
  const { part, sha256, signal } = options;
  for (let again = false; ; again = true) {
    const patched = await fetchWhole(options);
    const actual = await hashFile(part, signal);
    if (actual === sha256) break;
    await discard(part);
    // The pieces may have been of different contents; in one piece it has one more chance.
    if (patched && !again) continue;
    throw new PullError(
      `${nameOf(options.url)} has the SHA-256 ${actual}, not ${sha256}. It was not installed.`,
    );
  }
  await rm(noteOf(part), { force: true });
}

/** Fetches until the part has its full length. @returns whether it came in more than one piece */
async function fetchWhole(options: DownloadOptions): Promise<boolean> {
  const { signal, bytes, part, patience: limits = patience, onBytes, onTrouble } = options;
  let failures = 0;
  let best = 0;
  let reached = false;
  let patched = false;
  for (;;) {
    signal.throwIfAborted();
    const have = await usableBytes(options);
    best = Math.max(best, have);
    if (have > 0) onBytes?.(have);
    if (have === bytes) return true;
    try {
      patched = (await fetchRest(options, have, () => (reached = true))) || patched;
      return patched;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof PullError) throw error;
      if (!(error instanceof Trouble)) {
        throw new PullError(`${part} cannot be written: ${(error as Error).message}`);
      }
      if (error.unreachable && !reached) {
        throw new PullError(`${error.message}.`, { unreachable: true });
      }
      const now = await usableBytes(options);
      failures = now > best ? 1 : failures + 1;
      const waitMs =
        error.retryAfterMs ?? Math.min(limits.backoffMs * 2 ** (failures - 1), LONGEST_BACKOFF_MS);
      if (failures >= limits.attempts) {
        throw new PullError(`${error.message}, ${failures} times. What has come is kept.`);
      }
      if (waitMs > limits.longestWaitMs) {
        throw new PullError(
          `${error.message}, and asks to wait ${Math.ceil(waitMs / 60_000)} minutes.`,
        );
      }
      onTrouble?.(error.message, waitMs);
      await limits.wait(waitMs, signal);
    }
  }
}

/** Bytes of the right content that are here; what cannot be gone on with is removed. */
async function usableBytes({ part, bytes, sha256 }: DownloadOptions): Promise<number> {
  const stats = await lstat(part).catch(() => undefined);
  if (stats === undefined) return 0;
  const note = await readNote(part);
  if (stats.isFile() && stats.size <= bytes && note?.sha256 === sha256) return stats.size;
  await discard(part);
  return 0;
}

/** One request for all from `offset` on. @returns whether it was taken up in the middle */
async function fetchRest(
  options: DownloadOptions,
  offset: number,
  onReached: () => void,
): Promise<boolean> {
  const { url, token, part, bytes, signal, onBytes } = options;
  const idle = new AbortController();
  const { idleMs } = options.patience ?? patience;
  const silent = new Trouble(`${url.host} said nothing for ${Math.round(idleMs / 1000)} s`);
  const timer = setTimeout(() => idle.abort(silent), idleMs);
  const either = AbortSignal.any([signal, idle.signal]);
  const rethrow = (error: unknown): never => {
    if (idle.signal.aborted) throw silent;
    throw error instanceof PullError || error instanceof Trouble || signal.aborted
      ? error
      : toTrouble(error, url);
  };
  try {
    const { etag } = (await readNote(part)) ?? { etag: null };
    const headers = {
      // Lengths and ranges are of the bytes as they are.
      "accept-encoding": "identity",
      ...(offset > 0 ? { range: `bytes=${offset}-` } : {}),
      // A weak tag is no ground to go on; then the hash tells in the end.
      ...(offset > 0 && isStrong(etag) ? { "if-range": etag } : {}),
    };
    const response = await request(url, { headers, token, signal: either }).catch(rethrow);
    onReached();
    const body = response.body;
    try {
      const from = await acceptAnswer(response, options, offset, etag);
      if (from === 0) await startPart(options, response.headers.get("etag"));
      await save(body, from);
      return from > 0;
    } finally {
      await body?.cancel().catch(() => undefined);
    }
  } finally {
    clearTimeout(timer);
  }

  async function save(body: ReadableStream<Uint8Array> | null, from: number): Promise<void> {
    const file = await open(part, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW);
    const reader = body?.getReader();
    try {
      let at = from;
      await file.truncate(at);
      for (;;) {
        const { value } = (await reader?.read().catch(rethrow)) ?? {};
        if (value === undefined) break;
        if (at + value.length > bytes) {
          await discard(part);
          throw new PullError(tooLong(options));
        }
        timer.refresh();
        for (let written = 0; written < value.length;) {
          const { bytesWritten } = await file.write(value, written, undefined, at);
          written += bytesWritten;
          at += bytesWritten;
        }
        onBytes?.(at);
      }
      await file.datasync();
      if (at < bytes) throw new Trouble(`${url.host} ended early, at ${at} of ${bytes} bytes`);
    } finally {
      reader?.releaseLock();
      await file.close();
    }
  }
}

/**
 * Whether an answer brings what is missing.
 * @returns the place of its first byte: `offset`, or 0 when the server sends all of it again
 */
async function acceptAnswer(
  response: Response,
  options: DownloadOptions,
  offset: number,
  etag: string | null,
): Promise<number> {
  const { url, part } = options;
  const { status, headers } = response;
  const encoding = headers.get("content-encoding");
  if (encoding !== null && encoding !== "identity") {
    throw new PullError(
      `${nameOf(url)} comes compressed (${encoding}), though it was not asked to.`,
    );
  }
  const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(headers.get("content-range") ?? "");
  const total = range?.[2] === undefined || range[2] === "*" ? undefined : Number(range[2]);
  if (status === 200) {
    const length = headers.get("content-length");
    if (length !== null) await assertLength(Number(length), options);
    return 0;
  }
  if (status === 206 || status === 416) {
    if (total !== undefined) await assertLength(total, options);
    const tag = headers.get("etag");
    const same = etag === null || tag === null || tag === etag;
    if (status === 206 && offset > 0 && range?.[1] === String(offset) && same) return offset;
    await discard(part);
    throw new Trouble(`${nameOf(url)} is no longer the same content`);
  }
  throw refusal(response, url, options.token);
}

async function assertLength(length: number, options: DownloadOptions): Promise<void> {
  const { url, bytes, part } = options;
  if (length === bytes) return;
  await discard(part);
  throw new PullError(
    length > bytes
      ? tooLong(options, length)
      : `${nameOf(url)} has ${length} bytes, fewer than the ${bytes} that it should have. It was not installed.`,
  );
}

function tooLong({ url, bytes }: DownloadOptions, length?: number): string {
  return `${nameOf(url)} has ${length ?? "more"} bytes${length === undefined ? "" : ", more"} than the ${bytes} that it should have. It was not installed.`;
}

/** An empty part whose note says what it will be. */
async function startPart({ part, sha256 }: DownloadOptions, etag: string | null): Promise<void> {
  await discard(part);
  const note: Note = { etag, sha256 };
  await writeFile(noteOf(part), JSON.stringify(note), { flag: "wx" });
}

async function readNote(part: string): Promise<Note | undefined> {
  try {
    return Note.parse(JSON.parse(await readFile(noteOf(part), "utf8")));
  } catch {
    return undefined;
  }
}

async function discard(part: string): Promise<void> {
  await rm(part, { force: true, recursive: true });
  await rm(noteOf(part), { force: true, recursive: true });
}

function isStrong(etag: string | null): etag is string {
  return etag !== null && etag.startsWith('"');
}

/** Without the query. */
function nameOf({ host, pathname }: URL): string {
  return `${host}${pathname}`;
}
