"use strict";
const fs = require("node:fs");
const path = require("node:path");

/** `glibc` or `musl` on Linux, undefined elsewhere. */
function libcOfThisSystem() {
  if (process.platform !== "linux") return undefined;
  return process.report.getReport().header.glibcVersionRuntime ? "glibc" : "musl";
}

/**
 * Optional packages made for this very system (native bindings) that the lock file names and that are not there.
 *
 * @param {Record<string, {optional?: boolean, os?: string[], cpu?: string[], libc?: string[]}>} packages of the lock file
 * @param {string} root the checkout
 * @param {{os: string, cpu: string, libc: string | undefined}} [system] this one
 * @returns {string[]} their places, such as `node_modules/@rolldown/binding-linux-x64-gnu`
 */
function skippedForThisSystem(
  packages,
  root,
  system = { os: process.platform, cpu: process.arch, libc: libcOfThisSystem() },
) {
  const fits = (list, value) => list === undefined || list.includes(value);
  return Object.keys(packages).filter((place) => {
    const { optional, os, cpu, libc } = packages[place];
    if (!optional || os === undefined || cpu === undefined) return false;
    if (!fits(os, system.os) || !fits(cpu, system.cpu) || !fits(libc, system.libc)) return false;
    return !fs.existsSync(path.join(root, place, "package.json"));
  });
}

module.exports = { skippedForThisSystem };
