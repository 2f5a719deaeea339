import { cp, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { PLANTED, SOURCE_FOLDERS } from "./project-files.ts";

const CONFIGS = [
  "package.json",
  "tsconfig.base.json",
  ".oxlintrc.json",
  ".oxfmtrc.json",
  ".dependency-cruiser.mjs",
  ...SOURCE_FOLDERS.map((folder) => `${folder}/tsconfig.json`),
];

/**
 * Copies the planted violations into a temporary tree under the project's own configuration, hands its path to `use`,
 * and removes it. There no ignore pattern hides them, so the tools must find them by the very rules of the ordinary pass.
 */
export async function withPlantedTree<T>(
  root: string,
  use: (tree: string) => Promise<T>,
): Promise<T> {
  const tree = await mkdtemp(join(tmpdir(), "antiphon-planted-"));
  try {
    await cp(join(root, PLANTED), tree, { recursive: true });
    for (const config of CONFIGS) await cp(join(root, config), join(tree, config));
    await symlink(join(root, "node_modules"), join(tree, "node_modules"), "dir");
    return await use(tree);
  } finally {
    await rm(tree, { recursive: true, force: true });
  }
}
