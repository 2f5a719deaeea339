import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { WhisperModelError } from "./whisper-error.ts";

/** A file of a model, and what it has to hash to. */
export interface WhisperFile {
  path: string;
  sha256: string;
}

/** @throws {WhisperModelError} `missing` */
export function findFile(
  files: readonly WhisperFile[],
  what: string,
  matches = (name: string): boolean => name === what,
): WhisperFile {
  const file = files.find(({ path }) => matches(basename(path)));
  if (file !== undefined) return file;
  throw new WhisperModelError("missing", `The model has no ${what}.`);
}

/** A file in memory. @throws {WhisperModelError} */
export async function readChecked(file: WhisperFile): Promise<Buffer> {
  const bytes = await readFile(file.path).catch(() => {
    throw unreadable(file);
  });
  expectHash(file, createHash("sha256").update(bytes).digest("hex"));
  return bytes;
}

/** @throws {WhisperModelError} */
export async function readJson(file: WhisperFile): Promise<unknown> {
  const bytes = await readChecked(file);
  try {
    return JSON.parse(bytes.toString("utf8")) as unknown;
  } catch {
    throw new WhisperModelError("corrupt", `The model's ${basename(file.path)} is not JSON.`);
  }
}

/** Reads a file through without keeping it. @throws {WhisperModelError} */
export async function checkHash(file: WhisperFile): Promise<void> {
  const hash = createHash("sha256");
  try {
    for await (const chunk of createReadStream(file.path)) hash.update(chunk as Buffer);
  } catch {
    throw unreadable(file);
  }
  expectHash(file, hash.digest("hex"));
}

export function unreadable({ path }: WhisperFile): WhisperModelError {
  return new WhisperModelError(
    "missing",
    `The model's ${basename(path)} is missing or cannot be read.`,
  );
}

function expectHash({ path, sha256 }: WhisperFile, found: string): void {
  if (found === sha256) return;
  throw new WhisperModelError(
    "corrupt",
    `The model's ${basename(path)} has the SHA-256 ${found}, but the manifest says ${sha256}.`,
  );
}
