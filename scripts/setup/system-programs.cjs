"use strict";
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

/** True when a program of this name can be run. */
function onPath(name) {
  return (process.env.PATH || "").split(path.delimiter).some((folder) => {
    if (!folder) return false;
    try {
      fs.accessSync(path.join(folder, name), fs.constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * How a shell script that calls apt-get is run on this system without asking a question, or null.
 *
 * @param {string} script
 * @returns {{ command: string, args: string[] } | null}
 */
function withApt(script) {
  if (!onPath("apt-get")) return null;
  if (process.getuid && process.getuid() === 0) return { command: "sh", args: ["-c", script] };
  if (onPath("sudo") && spawnSync("sudo", ["-n", "true"], { stdio: "ignore" }).status === 0) {
    return { command: "sudo", args: ["-n", "sh", "-c", script] };
  }
  return null;
}

module.exports = { onPath, withApt };
