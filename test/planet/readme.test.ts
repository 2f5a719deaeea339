import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { planet } from "./planet-under-test.ts";

const root = join(import.meta.dirname, "../..");

/** What the README asks of curl, for a machine that has none. */
const STAND_IN = `
const [url, options] = [[], { method: undefined, body: undefined, headers: {} }];
const words = process.argv.slice(1);
for (let word; (word = words.shift()); ) {
  if (word === "-sSf") continue;
  if (word === "-X") options.method = words.shift();
  else if (word === "-d") options.body = words.shift();
  else if (word === "-H") {
    const [name, value] = words.shift().split(": ");
    options.headers[name] = value;
  } else if (word.startsWith("-")) throw new Error(word + " is not known");
  else url.push(word);
}
const method = options.method ?? (options.body === undefined ? "GET" : "POST");
fetch(url[0], { ...options, method }).then(async (answer) => {
  if (answer.ok) process.stdout.write(await answer.text());
  else process.exitCode = 22;
});`;

/** Runs the README's block of commands that has this in it, as whoever follows it does; any that fails ends it. */
async function follow(mark: string): Promise<string> {
  const readme = await readFile(join(root, "README.md"), "utf8");
  const blocks = [...readme.matchAll(/```sh\n([^]*?)```/g)].map(([, commands]) => commands!);
  const found = blocks.filter((commands) => commands.includes(mark));
  expect(found).toHaveLength(1);
  const env = { PATH: process.env["PATH"], URL: planet.edge, KEY: planet.keys.demo, STAND_IN };
  const commands = `command -v curl > /dev/null || curl() { node -e "$STAND_IN" -- "$@"; }\n${found[0]}`;
  const { stdout } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", commands], {
    cwd: root,
    env,
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
