import { spawnSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { checkConfiguration } from "./check-configuration.ts";
import { findMirror } from "./find-mirror.ts";
import { plantFaults } from "./plant-faults.ts";
import { createRunTerraform } from "./run-terraform.ts";
import { makeScratchCopy } from "./scratch-copy.ts";

/** It did not run: neither good nor bad. */
const DID_NOT_RUN = 3;

const program = new Command("check:terraform")
  .description("Format, validity and tests of every Terraform module and stage, with a mocked AWS.")
  .option("--only <name>", "one of them, such as modules/bucket or bucket")
  .option(
    "--mutations",
    "plant faults, and see that every assertion and every refusal fails for them",
    false,
  )
  .option("--fast", "only what has no need of the provider: the format", false)
  .option("--skip-missing", "leave with 0 where Terraform or its provider is not there", false)
  .parse();
const options = program.opts<{
  only?: string;
  mutations: boolean;
  fast: boolean;
  skipMissing: boolean;
}>();

const root = resolve(import.meta.dirname, "../..");
const { PATH, HOME, TF_MIRROR, TERRAFORM = "terraform" } = process.env;
const say = (line: string) => void process.stdout.write(`${line}\n`);
const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.once(name, () => stop.abort(new Error(`told to stop by ${name}`)));
}

function finish(verdict: "passed" | "failed" | "did not run", facts: object): void {
  process.exitCode = { passed: 0, failed: 1, "did not run": options.skipMissing ? 0 : DID_NOT_RUN }[
    verdict
  ];
  say(JSON.stringify({ terraform: verdict, ...facts }));
}

const version = spawnSync(TERRAFORM, ["version", "-json"], {
  encoding: "utf8",
  // A configuration file that the environment names may not be there.
  env: { PATH, HOME, CHECKPOINT_DISABLE: "1" },
});
if (version.status !== 0) {
  say(
    "Terraform is not installed: nothing was checked. TERRAFORM names the program where it is not on the PATH.",
  );
  finish("did not run", { why: "no terraform" });
} else {
  await check((JSON.parse(version.stdout) as { terraform_version: string }).terraform_version);
}

async function check(found: string): Promise<void> {
  await using scratch = await makeScratchCopy(root);
  const settings = join(scratch.folder, "terraform.rc");
  const environment: Record<string, string> = { TF_CLI_CONFIG_FILE: settings };
  const terraform = createRunTerraform({
    program: TERRAFORM,
    environment,
    path: PATH,
    home: HOME,
    signal: stop.signal,
  });
  const mirror = options.fast
    ? undefined
    : await findMirror({ named: TF_MIRROR, home: HOME, root: "/" }).catch((error: unknown) => {
        say(String(error));
        return "wrong" as const;
      });
  if (mirror === "wrong") return finish("failed", { version: found, why: "TF_MIRROR" });
  // From a mirror the provider is linked; from the registry it comes once, into a cache that stays.
  const cache = join(root, ".antiphon/terraform-plugins");
  if (!mirror && !options.fast) await mkdir(cache, { recursive: true });
  await writeFile(
    settings,
    mirror
      ? `provider_installation {\n  filesystem_mirror {\n    path = ${JSON.stringify(mirror)}\n  }\n}\n`
      : `plugin_cache_dir = ${JSON.stringify(cache)}\n`,
  );

  const format = await terraform(join(scratch.folder, "terraform"), [
    "fmt",
    "-check",
    "-recursive",
    "-no-color",
  ]);
  if (format.code !== 0) {
    say(`not as terraform fmt writes it:\n${format.text}`);
    return finish("failed", { version: found, configurations: 0 });
  }
  if (options.fast) return finish("passed", { version: found, checked: "format" });
  say(`Terraform ${found}, provider from ${mirror ? "a mirror" : "the registry"}`);

  const chosen = scratch.configurations.filter(
    (name) =>
      options.only === undefined || name === options.only || name.endsWith(`/${options.only}`),
  );
  if (chosen.length === 0) return finish("failed", { why: `there is no ${options.only}` });
  const folderOf = (name: string) => join(scratch.folder, "terraform", name);

  if (!(await providerComes(folderOf(chosen[0]!)))) return;
  const sum = { configurations: chosen.length, runs: 0, assertions: 0, planted: 0, seen: 0 };
  let failed = 0;
  for (const name of chosen) {
    const verdict = await checkConfiguration(terraform, folderOf(name));
    sum.runs += verdict.runs;
    sum.assertions += verdict.assertions;
    const faults = [...verdict.faults];
    let planted = "";
    if (options.mutations && faults.length === 0) {
      const plantings = await plantFaults(terraform, folderOf(name)).catch((error: unknown) => ({
        planted: 0,
        seen: 0,
        faults: [String(error)],
      }));
      sum.planted += plantings.planted;
      sum.seen += plantings.seen;
      faults.push(...plantings.faults);
      planted = `, ${plantings.planted} faults planted`;
    }
    failed += faults.length;
    say(
      `${faults.length === 0 ? "ok  " : "FAIL"} ${name}: ${verdict.runs} runs, ${verdict.assertions} assertions${planted}`,
    );
    for (const fault of faults) say(`     ${fault}`);
  }
  const { planted, seen, ...counted } = sum;
  finish(failed === 0 ? "passed" : "failed", {
    version: found,
    provider: mirror ? "mirror" : "registry",
    ...counted,
    ...(options.mutations ? { planted, seen_to_fail: seen } : {}),
  });

  /** Whether the provider can be had at all, which without a mirror the network decides. */
  async function providerComes(folder: string): Promise<boolean> {
    const { code, text } = await terraform(folder, ["init", "-backend=false", "-no-color"]);
    if (code === 0 || mirror) return true; // What is wrong with a configuration is told with the others.
    if (!/Failed to (?:query available provider packages|install provider)/.test(text)) return true;
    say(
      `The AWS provider is neither in a mirror nor to be had from the registry: nothing was checked.\n${text}`,
    );
    finish("did not run", { version: found, why: "no provider" });
    return false;
  }
}
