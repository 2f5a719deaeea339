import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { ModelFaultError } from "./model-fault.ts";

/** A file of a model that an engine loads, and what it has to hash to. */
export interface EngineFile {
  path: string;
  sha256: string;
}

/** @throws {ModelFaultError} `missing` */
export function findFile(
  files: readonly EngineFile[],
  what: string,
  matches = (name: string): boolean => name === what,
): EngineFile {
  const file = files.find(({ path }) => matches(basename(path)));
  if (file !== undefined) return file;
  throw new ModelFaultError("missing", `The model has no ${what}.`);
}

/** A file in memory. @throws {ModelFaultError} */
export async function readChecked(file: EngineFile): Promise<Buffer> {
  const bytes = await readFile(file.path).catch(() => {
    throw unreadable(file);
  });
  expectHash(file, createHash("sha256").update(bytes).digest("hex"));
  return bytes;
}

/** @throws {ModelFaultError} */
export async function readJson(file: EngineFile): Promise<unknown> {
  const bytes = await readChecked(file);
  try {
    return JSON.parse(bytes.toString("utf8")) as unknown;
  } catch {
    throw new ModelFaultError("corrupt", `The model's ${basename(file.path)} is not JSON.`);
  }
}

/** Reads a file through without keeping it. @throws {ModelFaultError} */
export async function checkHash(file: EngineFile): Promise<void> {
  const hash = createHash("sha256");
  try {
    for await (const chunk of createReadStream(file.path)) hash.update(chunk as Buffer);
  } catch {
    throw unreadable(file);
  }
  expectHash(file, hash.digest("hex"));
}

export function unreadable({ path }: EngineFile): ModelFaultError {
  return new ModelFaultError(
    "missing",
    `The model's ${basename(path)} is missing or cannot be read.`,
  );
}

function expectHash({ path, sha256 }: EngineFile, found: string): void {
  if (found === sha256) return;
  throw new ModelFaultError(
    "corrupt",
    `The model's ${basename(path)} has the SHA-256 ${found}, but the manifest says ${sha256}.`,
  );
}
