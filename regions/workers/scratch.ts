import { randomUUID } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";

export interface Scratch {
  /** Where it all lies. */
  folder: string;
  /** A path for a new file of this worker. Who asks for it removes it. */
  path(): string;
  remove(path: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * A worker's own folder for files in work. What an earlier process of this worker id left there when it was killed is
 * removed, so at most one process may have an id at a time.
 */
export async function openScratch(root: string, workerId: string): Promise<Scratch> {
  const folder = join(root, `antiphon-${workerId}`);
  const clear = () => rm(folder, { recursive: true, force: true });
  await clear();
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return {
    folder,
    path: () => join(folder, randomUUID()),
    remove: (path) => rm(path, { force: true }),
    close: clear,
  };
}
