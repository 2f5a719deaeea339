"use strict";
const { runStep } = require("./run-step.cjs");
const { onPath, withApt } = require("./system-programs.cjs");

const ADVICE = `redis-server is not on the PATH, and it could not be installed from here. Please install it:

  Debian, Ubuntu   sudo apt-get install redis-server
  Fedora           sudo dnf install redis      (or valkey-compat-redis)
  Arch             sudo pacman -S redis        (or valkey)
  macOS            brew install redis

and run the same command again.`;

/*
 * The distribution's package starts a Redis of its own on port 6379 and at every boot; nobody asked for that.
 * policy-rc.d is Debian's way of saying so; one that is already there is somebody else's and stays.
 */
const APT_SCRIPT = `set -e
export DEBIAN_FRONTEND=noninteractive
had=no; if [ -d /run/systemd/system ] && systemctl cat redis-server.service >/dev/null 2>&1; then had=yes; fi
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\\nexit 101\\n' > "$policy"
  chmod 755 "$policy"
fi
apt-get -o DPkg::Lock::Timeout=120 update
apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends redis-server
if [ "$had" = no ] && [ -d /run/systemd/system ]; then systemctl disable redis-server.service || true; fi
`;

/** How this system installs packages without asking a question, or null. */
function installer() {
  const apt = withApt(APT_SCRIPT);
  if (apt) return apt;
  if (onPath("brew")) return { command: "brew", args: ["install", "redis"] };
  return null;
}

/** True when a redis-server can be run. */
function current() {
  return onPath("redis-server");
}

/** Installs redis-server with the system's package manager. Rejects with what to install by hand. */
async function install({ logFile, quiet }) {
  const by = installer();
  if (!by) throw new Error(ADVICE);
  try {
    await runStep({ title: "Installing redis-server", ...by, env: process.env, logFile, quiet });
  } catch (error) {
    throw new Error(`${error.message}\n\n${ADVICE}`);
  }
  if (!current()) throw new Error(ADVICE);
}

module.exports = { current, install };
