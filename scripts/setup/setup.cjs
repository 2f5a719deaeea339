"use strict";
/*
 * Sets up what the npm scripts need; they call it before they run. Plain JavaScript for any Node from 18 up:
 * the Node that the project itself runs on is among what this installs.
 *
 *   --packages-only   npm packages, none of the system's
 *   --quiet           nothing but failures
 */
const path = require("node:path");

const root = path.resolve(__dirname, "..", "..");

async function main() {
  if (Number(process.versions.node.split(".")[0]) < 18) {
    throw new Error(
      `Node ${process.versions.node} is too old to set Antiphon up: 18 or newer, please.`,
    );
  }
  const { createPackages } = require("./packages.cjs");
  const { withLock } = require("./with-lock.cjs");
  const redis = require("./redis.cjs");
  const { createPocketsphinx } = require("./pocketsphinx.cjs");

  const quiet = process.argv.includes("--quiet");
  const state = path.join(root, ".antiphon");
  const parts = [createPackages(root)];
  if (!process.argv.includes("--packages-only")) parts.push(redis, createPocketsphinx(state));
  if (parts.every((part) => part.current())) return;

  const say = (text) => quiet || process.stderr.write(text);
  const options = { logFile: path.join(state, "logs", "setup.log"), quiet };
  await withLock(path.join(state, "setup.lock"), say, async () => {
    say("Setting up (only when something is missing or has changed)\n");
    // Asked again: whoever held the lock before may have done it all.
    for (const part of parts) if (!part.current()) await part.install(options);
  });
}

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));

main().catch((error) => {
  process.stderr.write(`\n${error.message}\n`);
  process.exitCode = 1;
});
