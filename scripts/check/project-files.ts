import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

/** The folders that hold the project's own TypeScript. */
export const SOURCE_FOLDERS = ["edge", "regions", "shared", "scripts", "test"] as const;

/** Where the violations live that the checks must catch; no ordinary pass looks there. */
export const PLANTED = "test/fixtures/planted";

/** Every file that is or would be committed, relative to `root`. */
export async function projectFiles(root: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)(
    "git",
    ["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    { cwd: root, maxBuffer: 64 * 1024 * 1024 },
  );
  // A file removed from the tree but not yet from the index is still listed.
  return stdout.split("\0").filter((path) => path !== "" && existsSync(join(root, path)));
}

/** The TypeScript modules of the source folders, planted ones left out. */
export function sourceModules(files: string[]): string[] {
  return files.filter(
    (path) =>
      path.endsWith(".ts") &&
      !path.endsWith(".d.ts") &&
      SOURCE_FOLDERS.some((folder) => path.startsWith(`${folder}/`)) &&
      !path.startsWith(`${PLANTED}/`),
  );
}
