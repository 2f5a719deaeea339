"use strict";
const fs = require("node:fs");
const path = require("node:path");

const POLL_MS = 200;
const OWNERLESS_MS = 5_000;

/** True when the process exists, whoever owns it. */
function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

function isStale(lock) {
  try {
    const pid = Number(fs.readFileSync(path.join(lock, "owner"), "utf8"));
    if (pid > 0) return !alive(pid);
  } catch {
    // No owner yet: its maker may be between the two calls, or died there.
  }
  try {
    return Date.now() - fs.statSync(lock).mtimeMs > OWNERLESS_MS;
  } catch {
    return false;
  }
}

/**
 * Runs `work` while holding a lock that other processes see (a directory: making one is atomic).
 * Waits for a living holder; takes the lock over from one that died.
 *
 * @template T
 * @param {string} lock path of the lock directory
 * @param {(message: string) => void} say told once when there is someone to wait for
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function withLock(lock, say, work) {
  fs.mkdirSync(path.dirname(lock), { recursive: true });
  for (let told = false; ;) {
    try {
      fs.mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    if (isStale(lock)) {
      // Renamed first, so that of two waiters only one removes it and neither removes a fresh lock.
      const grave = `${lock}.${process.pid}`;
      try {
        fs.renameSync(lock, grave);
      } catch {
        continue;
      }
      fs.rmSync(grave, { recursive: true, force: true });
      continue;
    }
    if (!told) say("  another set-up is running; waiting for it\n");
    told = true;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  const release = () => fs.rmSync(lock, { recursive: true, force: true });
  process.once("exit", release);
  try {
    fs.writeFileSync(path.join(lock, "owner"), String(process.pid));
    return await work();
  } finally {
    process.removeListener("exit", release);
    release();
  }
}

module.exports = { withLock };
