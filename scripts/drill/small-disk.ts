import { execFile } from "node:child_process";
import { mkdir, open, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
/** Room for a region's Postgres, Redis and objects while a drill lasts. */
const SIZE_MB = 768;
const BLOCK = Buffer.alloc(2 ** 20, 1);

const homeOf = (stateDir: string, region: string) => join(stateDir, "regions", region);
const ballastOf = (stateDir: string, region: string) => join(homeOf(stateDir, region), "ballast");

/**
 * Puts a region's folder on a disk of its own, in memory, that can be filled without filling the machine's.
 * @throws where this account may not mount one
 */
export async function giveSmallDisk(
  stateDir: string,
  region: string,
): Promise<() => Promise<void>> {
  const home = homeOf(stateDir, region);
  await mkdir(home, { recursive: true });
  try {
    await run("mount", ["-t", "tmpfs", "-o", `size=${SIZE_MB}m,mode=0755`, "antiphon-drill", home]);
  } catch (cause) {
    throw new Error("a disk that can be filled takes the right to mount one (root on Linux)", {
      cause,
    });
  }
  return async () => {
    await run("umount", ["--lazy", home]);
  };
}

/** Writes until nothing more can be written. */
export async function fillDisk(stateDir: string, region: string): Promise<void> {
  const { type } = await statfs(homeOf(stateDir, region));
  // Never a disk that others live on.
  if (type !== TMPFS_MAGIC) throw new Error(`the folder of ${region} is not on a disk of its own`);
  const file = await open(ballastOf(stateDir, region), "w");
  try {
    for (let block = BLOCK; block.length > 0;) {
      try {
        await file.write(block);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
        // The last bytes too.
        block = block.subarray(0, block.length >> 1);
      }
    }
  } finally {
    await file.close();
  }
}

/** linux/magic.h */
const TMPFS_MAGIC = 0x01021994;

export async function emptyDisk(stateDir: string, region: string): Promise<void> {
  await rm(ballastOf(stateDir, region), { force: true });
}
