import { existsSync } from "node:fs";
import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { testRunsOf } from "./check-configuration.ts";
import { readResults } from "./read-results.ts";
import { readTests } from "./read-tests.ts";
import type { RunTerraform } from "./run-terraform.ts";

/** A fault to plant, and the assertions that it has to make fail: those, and no other. */
export const Fault = z.strictObject({
  file: z.string().default("main.tf"),
  /** Text that is there exactly once. */
  find: z.string().min(1),
  replace: z.string(),
  fails: z.array(z.string()).min(1),
  /** Faults of one wave are planted together; those that would hide each other stand in different ones. */
  wave: z.number().int().min(1).default(1),
});
export type Fault = z.infer<typeof Fault>;

export interface Plantings {
  /** Faults that were planted: those listed, and one for each rule of a variable. */
  planted: number;
  /** Assertions and refusals that were seen to fail. */
  seen: number;
  faults: string[];
}

const NAME = "faults.json";

/**
 * Plants faults into a configuration, and sees that each of its assertions fails for them and that nothing else does; then takes
 * the rules of all its variables away, and sees that every run which expects a refusal misses it. `folder` is a copy: it is changed.
 */
export async function plantFaults(terraform: RunTerraform, folder: string): Promise<Plantings> {
  const list = join(folder, "tests", NAME);
  const faults = existsSync(list)
    ? z.array(Fault).parse(JSON.parse(await readFile(list, "utf8")))
    : [];
  const runs = await testRunsOf(folder);
  const wanted = new Set(runs.flatMap(({ assertions }) => assertions));
  const seen = new Set<string>();
  const found: string[] = [];
  let planted = faults.length;

  const unknown = faults.flatMap(({ fails }) => fails).filter((text) => !wanted.has(text));
  found.push(...unknown.map((text) => `no assertion says: ${text}`));
  for (const wave of new Set(faults.map((fault) => fault.wave))) {
    const together = faults.filter((fault) => fault.wave === wave);
    const results = await inCopy(folder, async (copy) => {
      for (const fault of together) await plant(copy, fault);
      return test(terraform, copy, ({ refuses }) => !refuses);
    });
    const expected = new Set(together.flatMap(({ fails }) => fails));
    for (const text of expected) {
      if (results.failed.has(text)) seen.add(text);
      else found.push(`wave ${wave}: its fault did not make it fail: ${text}`);
    }
    for (const text of results.failed) {
      if (!expected.has(text))
        found.push(`wave ${wave}: failed without a fault of its own: ${text}`);
    }
    found.push(...results.errors.map((text) => `wave ${wave}: ${text}`));
  }
  for (const text of wanted) {
    if (!faults.some(({ fails }) => fails.includes(text))) found.push(`no fault for: ${text}`);
  }

  const refusals = runs.filter(({ refuses }) => refuses);
  if (refusals.length > 0) {
    const results = await inCopy(folder, async (copy) => {
      planted += await takeRulesAway(copy);
      return test(terraform, copy, ({ refuses }) => refuses);
    });
    for (const { name } of refusals) {
      // Without its rule it is either let through, or stopped by something else than was expected.
      const status = results.runs.get(name);
      if (status === "pass" || status === undefined) found.push(`refused without a rule: ${name}`);
      else seen.add(name);
    }
  }
  return { planted, seen: seen.size, faults: found };
}

async function inCopy<T>(folder: string, work: (copy: string) => Promise<T>): Promise<T> {
  // Beside it, for its relative paths.
  const copy = `${folder}-planted`;
  await cp(folder, copy, { recursive: true, verbatimSymlinks: true });
  try {
    return await work(copy);
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

async function plant(folder: string, { file, find, replace }: Fault): Promise<void> {
  const path = join(folder, file);
  const text = await readFile(path, "utf8");
  const parts = text.split(find);
  if (parts.length !== 2) throw new Error(`${path} has ${parts.length - 1} times: ${find}`);
  await writeFile(path, parts.join(replace));
}

/** Each run in a file of its own: an error in one makes Terraform skip those that come after it in the same file. */
async function test(
  terraform: RunTerraform,
  folder: string,
  which: (run: { refuses: boolean }) => boolean,
) {
  const tests = join(folder, "tests");
  for (const name of await readdir(tests)) {
    if (!name.endsWith(".tftest.hcl")) continue;
    const { head, runs } = readTests(await readFile(join(tests, name), "utf8"));
    await rm(join(tests, name));
    for (const run of runs.filter(which)) {
      await writeFile(join(tests, `${run.name}.tftest.hcl`), head + run.text);
    }
  }
  const { code, text } = await terraform(folder, ["init", "-backend=false", "-no-color"]);
  if (code !== 0) throw new Error(text);
  const { stdout } = await terraform(folder, ["test", "-json", "-no-color"]);
  return readResults(stdout);
}

/** Makes every rule of variables and every precondition hold. Returns how many there were. */
async function takeRulesAway(folder: string): Promise<number> {
  let count = 0;
  for (const name of (await readdir(folder)).filter((file) => file.endsWith(".tf"))) {
    const path = join(folder, name);
    let variable = "";
    const text = (await readFile(path, "utf8"))
      .split(/^(?=variable "|resource ")/m)
      .map((block) => {
        variable = /^variable "([^"]+)"/.exec(block)?.[1] ?? "";
        return block.replaceAll(
          /((?:validation|precondition) \{[^]*?condition\s*=)[^]*?(\n\s*error_message)/g,
          (_all, start: string, end: string) => {
            count += 1;
            // A rule has to speak of its own variable, and a precondition of something.
            return `${start} ${variable === "" ? "path.module == path.module" : `var.${variable} == var.${variable}`}${end}`;
          },
        );
      })
      .join("");
    await writeFile(path, text);
  }
  return count;
}
