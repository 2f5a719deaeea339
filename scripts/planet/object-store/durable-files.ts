import { randomBytes } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";

/** Makes the names within a folder survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Creates a folder, and makes its name durable. */
export async function makeFolder(folder: string): Promise<void> {
  if ((await mkdir(folder, { recursive: true })) !== undefined) await syncFolder(dirname(folder));
}

/** Writes chunks to a new file and flushes it to the disk. */
export async function writeChunks(path: string, chunks: AsyncIterable<Buffer>): Promise<void> {
  await pipeline(chunks, createWriteStream(path, { flags: "wx", flush: true }));
}

/** The bytes of several files, one after the other. */
export async function* readFiles(paths: string[]): AsyncGenerator<Buffer> {
  for (const path of paths) yield* createReadStream(path) as AsyncIterable<Buffer>;
}

/** Replaces a file by JSON: either the old or the new text is there after a crash, never a part. */
export async function writeJson(path: string, temporaryFolder: string, value: unknown) {
  await withTemporary(temporaryFolder, async (temporary) => {
    const handle = await open(temporary, "wx");
    try {
      await handle.writeFile(JSON.stringify(value));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  });
  await syncFolder(dirname(path));
}

/** Runs `work` with the path of a file that does not exist yet, and removes whatever is left there. */
export async function withTemporary<T>(
  folder: string,
  work: (path: string) => Promise<T>,
): Promise<T> {
  const path = join(folder, randomBytes(12).toString("hex"));
  try {
    return await work(path);
  } finally {
    await rm(path, { force: true });
  }
}
