import { resolve } from "node:path";
import { Command } from "commander";

import { deadCode } from "./dead-code.ts";
import { format } from "./format.ts";
import { lint } from "./lint.ts";
import { runChecks, type Report } from "./run-checks.ts";
import { speaksOfItself } from "./speaks-of-itself.ts";
import { thirdParty } from "./third-party.ts";
import { types } from "./types.ts";
import { walls } from "./walls.ts";

const checks = [types, lint, format, walls, deadCode, thirdParty, speaksOfItself];

const program = new Command("check")
  .description("Types, lint, format, walls, dead code, notices: what must hold before a commit.")
  .option("--only <name...>", `run only these: ${checks.map(({ name }) => name).join(", ")}`)
  .option("--write", "repair what can be repaired (format, notices)", false)
  .option("--json", "print one JSON object instead of lines", false)
  .parse();
const options = program.opts<{ only?: string[]; write: boolean; json: boolean }>();

for (const name of options.only ?? []) {
  if (!checks.some((check) => check.name === name)) program.error(`There is no check "${name}".`);
}

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());

const context = {
  root: resolve(import.meta.dirname, "../.."),
  write: options.write,
  signal: stop.signal,
};
const chosen = checks.filter(({ name }) => options.only?.includes(name) ?? true);
const reports = await runChecks(chosen, context, { told: options.json ? () => {} : tell });
const failed = reports.filter(({ ok }) => !ok);

if (options.json) {
  console.log(JSON.stringify({ ok: failed.length === 0, checks: reports }));
} else {
  for (const { title, details } of failed) if (details) console.log(`\n--- ${title}\n${details}`);
  console.log(
    failed.length === 0
      ? `\n${reports.length} checks passed`
      : `\n${failed.length} of ${reports.length} checks failed: ${failed.map(({ name }) => name).join(", ")}`,
  );
}
process.exitCode = failed.length === 0 ? 0 : 1;

function tell({ ok, title, summary, ms }: Report): void {
  console.log(
    `${ok ? "ok  " : "FAIL"} ${title.padEnd(24)} ${summary} (${(ms / 1000).toFixed(1)} s)`,
  );
}
