import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { readResults } from "./read-results.ts";
import { readTests, type TestRun } from "./read-tests.ts";
import type { RunTerraform } from "./run-terraform.ts";

export interface Verdict {
  runs: number;
  assertions: number;
  /** Empty: all is well. */
  faults: string[];
}

/** Initialises, validates and tests one configuration. */
export async function checkConfiguration(
  terraform: RunTerraform,
  folder: string,
): Promise<Verdict> {
  const runs = await testRunsOf(folder);
  const verdict: Verdict = {
    runs: runs.length,
    assertions: runs.reduce((sum, { assertions }) => sum + assertions.length, 0),
    faults: [],
  };
  if (runs.length === 0) return { ...verdict, faults: ["it has no tests"] };
  for (const step of [
    ["init", "-backend=false", "-no-color"],
    ["validate", "-no-color"],
  ]) {
    const { code, text } = await terraform(folder, step);
    if (code !== 0) return { ...verdict, faults: [`${step[0]} failed:\n${text}`] };
  }
  const { code, stdout, text } = await terraform(folder, ["test", "-json", "-no-color"]);
  const results = readResults(stdout);
  const faults = [
    ...results.failed,
    ...Array.from(results.unrefused, (run) => `${run}: it was not refused`),
    ...results.errors,
  ];
  // What Terraform did not get to is as bad as what failed.
  for (const { name } of runs) {
    const status = results.runs.get(name) ?? "not run";
    if (status !== "pass") faults.push(`${name}: ${status}`);
  }
  if (code !== 0 && faults.length === 0) faults.push(text.slice(-2000));
  return { ...verdict, faults };
}

export async function testRunsOf(folder: string): Promise<TestRun[]> {
  const tests = join(folder, "tests");
  const files = (await readdir(tests)).filter((name) => name.endsWith(".tftest.hcl"));
  const texts = await Promise.all(files.map((name) => readFile(join(tests, name), "utf8")));
  return texts.flatMap((text) => readTests(text).runs);
}
