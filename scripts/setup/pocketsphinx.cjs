"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { runStep } = require("./run-step.cjs");
const { onPath, withApt } = require("./system-programs.cjs");

const PACKAGES = "pocketsphinx pocketsphinx-en-us";
const APT_SCRIPT = `set -e
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=120 update
apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends ${PACKAGES}
`;
const TRY_AGAIN_MS = 24 * 3_600_000;

/**
 * The engine for transcripts that needs no download from a model hub. Everything else works without it, so a system where it
 * cannot be installed is told so once a day, and set-up goes on.
 *
 * @param {string} state folder that remembers when it was tried
 */
function createPocketsphinx(state) {
  const mark = path.join(state, "pocketsphinx-not-installed");

  /** True when it is here, or was not to be had a short time ago. */
  function current() {
    if (onPath("pocketsphinx_batch")) return true;
    try {
      return Date.now() - fs.statSync(mark).mtimeMs < TRY_AGAIN_MS;
    } catch {
      return false;
    }
  }

  /** Never rejects. */
  async function install({ logFile, quiet }) {
    try {
      const by = withApt(APT_SCRIPT);
      if (!by) throw new Error("this system's packages cannot be installed from here");
      const title = "Installing pocketsphinx, for transcripts";
      await runStep({ title, ...by, env: process.env, logFile, quiet });
      if (!onPath("pocketsphinx_batch")) throw new Error("it was installed but is not on the PATH");
    } catch (error) {
      process.stderr.write(
        `  Transcripts will be unavailable: ${error.message.split("\n")[0]}.\n` +
          `  All else works. On Debian or Ubuntu: sudo apt-get install ${PACKAGES}\n`,
      );
      fs.mkdirSync(state, { recursive: true });
      fs.writeFileSync(mark, "");
    }
  }

  return { current, install };
}

module.exports = { createPocketsphinx };
