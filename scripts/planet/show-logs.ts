import { closeSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const FOLLOW_MS = 250;
const CHUNK = 64 * 1024;

/** The names that have a log. */
export function logNames(stateDir: string): string[] {
  try {
    return readdirSync(join(stateDir, "logs"))
      .filter((file) => file.endsWith(".log"))
      .map((file) => file.slice(0, -".log".length))
      .toSorted();
  } catch {
    return [];
  }
}

/**
 * Writes the last lines of logs, each with its name in front when there are several; with `follow` goes on with what
 * comes until the signal.
 */
export async function showLogs(
  stateDir: string,
  names: readonly string[],
  {
    lines,
    follow,
    signal,
    write,
  }: { lines: number; follow: boolean; signal: AbortSignal; write: (text: string) => void },
): Promise<void> {
  const width = Math.max(...names.map((name) => name.length));
  const prefix = (name: string) => (names.length > 1 ? `${name.padEnd(width)} | ` : "");
  const tails = names.map((name) => ({
    name,
    at: 0,
    rest: "",
    file: join(stateDir, "logs", `${name}.log`),
  }));

  for (const tail of tails) {
    const size = sizeOf(tail.file);
    const text = readFrom(tail.file, Math.max(0, size - lines * 400), size);
    tail.at = size;
    const whole = text.split("\n");
    tail.rest = whole.pop() ?? "";
    for (const line of whole.slice(-lines)) write(`${prefix(tail.name)}${line}\n`);
  }
  while (follow && !signal.aborted) {
    await sleep(FOLLOW_MS, undefined, { signal }).catch(() => undefined);
    for (const tail of tails) {
      const size = sizeOf(tail.file);
      // Rotated: what is there now is all new.
      if (size < tail.at) tail.at = 0;
      const whole = (tail.rest + readFrom(tail.file, tail.at, size)).split("\n");
      tail.at = size;
      tail.rest = whole.pop() ?? "";
      for (const line of whole) write(`${prefix(tail.name)}${line}\n`);
    }
  }
}

const sizeOf = (file: string) => statSync(file, { throwIfNoEntry: false })?.size ?? 0;

function readFrom(file: string, from: number, to: number): string {
  if (to <= from) return "";
  const descriptor = openSync(file, "r");
  try {
    const parts: Buffer[] = [];
    for (let at = from; at < to;) {
      const part = Buffer.alloc(Math.min(CHUNK, to - at));
      const got = readSync(descriptor, part, 0, part.length, at);
      if (got === 0) break;
      parts.push(part.subarray(0, got));
      at += got;
    }
    return Buffer.concat(parts).toString("utf8");
  } finally {
    closeSync(descriptor);
  }
}
