import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { planet } from "./planet-under-test.ts";

const root = join(import.meta.dirname, "../..");

/** Runs the README's block of commands that has this in it, as whoever follows it does; any that fails ends it. */
async function follow(mark: string): Promise<string> {
  const readme = await readFile(join(root, "README.md"), "utf8");
  const blocks = [...readme.matchAll(/```sh\n([^]*?)```/g)].map(([, commands]) => commands!);
  const found = blocks.filter((commands) => commands.includes(mark));
  expect(found).toHaveLength(1);
  const { stdout } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", found[0]!], {
    cwd: root,
    env: { PATH: process.env["PATH"], URL: planet.edge, KEY: planet.keys.demo },
  });
  return stdout;
}

test("the README's commands make batches, webhooks and deletions, and read usage", async () => {
  const said = await follow("/v1/webhook-endpoints");
  expect(said).toMatch(/total: 2/);
  expect(said).toMatch(/^\{"item":0,"job_id":"job_.*\n\{"item":1,/m);
  expect(said).toMatch(/^whsec_/m);
  expect(said).toMatch(/^true$/m);
  expect(said).toMatch(/^(partial|completed)$/m);
  // Sums are some seconds old: there may be none yet.
  expect(said).toMatch(/^\[( .* USD.*)?\]$/m);
});
