import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";

/** What a folder has to hold to be a mirror of the provider that the configurations need. */
const PROVIDER = join("registry.terraform.io", "hashicorp", "aws");
/** So deep below the root a mirror is looked for: `/a/b/c/registry.terraform.io`. */
const DEPTH = 3;
const NEVER = new Set(["proc", "sys", "dev", "run", "node_modules", "tmp"]);

export interface MirrorPlaces {
  /** TF_MIRROR. */
  named: string | undefined;
  home: string | undefined;
  /** Where a shallow search begins. */
  root: string;
}

/**
 * A folder with the provider in it, as `terraform providers mirror` lays one out: the one that TF_MIRROR names, else one of those
 * where Terraform looks by itself, else one that a shallow search of the disk finds.
 * @throws Error when TF_MIRROR names a folder that is no mirror: a typing error must not end in a download
 */
export async function findMirror({ named, home, root }: MirrorPlaces): Promise<string | undefined> {
  if (named) {
    if (holdsProvider(named)) return named;
    throw new Error(`TF_MIRROR names ${named}, which has no ${PROVIDER}`);
  }
  const usual = [
    ...(home
      ? [join(home, ".terraform.d/plugins"), join(home, ".local/share/terraform/plugins")]
      : []),
    join(root, "usr/local/share/terraform/plugins"),
    join(root, "usr/share/terraform/plugins"),
  ];
  return usual.find(holdsProvider) ?? (await search(root, DEPTH));
}

function holdsProvider(folder: string): boolean {
  return existsSync(join(folder, PROVIDER));
}

/** Breadth first, so that the shallowest is found; what cannot be read is passed over. */
async function search(root: string, depth: number): Promise<string | undefined> {
  let level = [root];
  for (let at = 0; at <= depth; at++) {
    const found = level.find(holdsProvider);
    if (found !== undefined) return found;
    const inner = await Promise.all(level.map(foldersOf));
    level = inner.flat();
  }
  return undefined;
}

async function foldersOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() && !NEVER.has(entry.name))
    .map((entry) => join(folder, entry.name))
    .filter((path) => dirname(path) !== path);
}
