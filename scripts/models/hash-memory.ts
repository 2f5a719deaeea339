import { readFileSync } from "node:fs";
import { mkdir, rename, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { hashFile } from "./hash-file.ts";

const Memory = z.record(z.string(), z.strictObject({ identity: z.string(), sha256: z.string() }));

/** Remembers what files hash to, so that a list of models need not read gigabytes that have not changed. */
export interface HashMemory {
  /** The hash of a file: from memory while it is the same file, of the same length and times. `fresh` reads it in any case. */
  hash(
    path: string,
    options?: { fresh?: boolean; signal?: AbortSignal | undefined },
  ): Promise<string>;
  /** Keeps what was learnt. That it cannot be kept is no fault. */
  save(): Promise<void>;
}

export function createHashMemory(file: string): HashMemory {
  let memory: z.infer<typeof Memory> = {};
  try {
    memory = Memory.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    // None yet, or none that can be trusted.
  }
  let learnt = false;
  return {
    async hash(path, { fresh = false, signal } = {}) {
      // Before it is read: a change meanwhile gives it other times than these.
      const identity = await identityOf(path);
      const known = memory[path];
      if (!fresh && known?.identity === identity) return known.sha256;
      const sha256 = await hashFile(path, signal);
      memory[path] = { identity, sha256 };
      learnt = true;
      return sha256;
    },
    async save() {
      if (!learnt) return;
      try {
        await mkdir(dirname(file), { recursive: true });
        await writeFile(`${file}.${process.pid}`, JSON.stringify(memory));
        await rename(`${file}.${process.pid}`, file);
      } catch {
        // The next one reads the files again.
      }
    },
  };
}

/** The time of change cannot be set by hand, so not even a file of the same length written over it is taken for the old one. */
async function identityOf(path: string): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(":");
}
