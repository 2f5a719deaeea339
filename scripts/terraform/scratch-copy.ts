import { cp, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Where a copy of the configurations lies, which may be changed, and which no init of Terraform leaves anything in but there. */
export interface ScratchCopy {
  folder: string;
  /** Every module and stage, such as `modules/bucket`; relative to `terraform/`. */
  configurations: string[];
  [Symbol.asyncDispose](): Promise<void>;
}

export async function makeScratchCopy(root: string): Promise<ScratchCopy> {
  const folder = await mkdtemp(join(tmpdir(), "antiphon-terraform-"));
  await cp(join(root, "terraform"), join(folder, "terraform"), {
    recursive: true,
    filter: (path) => !/[\\/]\.terraform(?:[\\/]|$)|\.tfstate/.test(path),
  });
  await mkdir(join(folder, "shared"));
  await cp(join(root, "shared/regions.json"), join(folder, "shared/regions.json"));
  const of = async (kind: string) =>
    (await readdir(join(root, "terraform", kind))).sort().map((name) => `${kind}/${name}`);
  return {
    folder,
    configurations: [...(await of("modules")), ...(await of("stages"))],
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
