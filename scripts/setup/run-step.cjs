"use strict";
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const TAIL_LINES = 40;
const TICK_MS = 10_000;

/**
 * Runs a command with its output in a log file, and shows how long it has been going.
 * On failure the end of the log is shown and the promise rejects with a message for people,
 * the whole output beside it as `error.output`.
 *
 * @param {object} step
 * @param {string} step.title what is being done, for people
 * @param {string} step.command
 * @param {string[]} step.args
 * @param {string} step.logFile the output is appended here
 * @param {string} [step.cwd]
 * @param {NodeJS.ProcessEnv} [step.env]
 * @param {boolean} [step.quiet] no line unless it fails
 * @returns {Promise<void>}
 */
function runStep({ title, command, args, logFile, cwd, env, quiet }) {
  fs.mkdirSync(path.dirname(logFile), { recursive: true });
  const log = fs.openSync(logFile, "a");
  fs.writeSync(log, `\n$ ${command} ${args.join(" ")}\n`);
  const before = fs.fstatSync(log).size;
  const start = Date.now();
  const elapsed = () => `${Math.round((Date.now() - start) / 1000)} s`;
  const tty = process.stderr.isTTY && !quiet;
  const say = (text) => quiet || process.stderr.write(text);

  say(tty ? `  ${title} …` : `  ${title} …\n`);
  const tick = setInterval(
    () => say(tty ? `\r  ${title} … ${elapsed()}` : `  … still at it (${elapsed()})\n`),
    tty ? 1000 : TICK_MS,
  );

  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", log, log] });
    const stop = () => child.kill();
    process.once("exit", stop);
    child.once("close", () => process.removeListener("exit", stop));
    child.once("error", (error) =>
      reject(new Error(`${command} could not be run: ${error.message}`)),
    );
    child.once("exit", (code, signal) => {
      if (code === 0) return resolve();
      const output = fs.readFileSync(logFile).subarray(before).toString("utf8").trimEnd();
      const tail = output.split("\n").slice(-TAIL_LINES).join("\n");
      const how = signal || `exit ${code}`;
      const message = `${title}: failed (${how})\n\n${tail}\n\nAll of it: ${logFile}`;
      reject(Object.assign(new Error(message), { output }));
    });
  })
    .then(
      () =>
        say(tty ? `\r  ${title} … done in ${elapsed()}\n` : `  ${title}: done in ${elapsed()}\n`),
      (error) => {
        say(tty ? "\n" : "");
        throw error;
      },
    )
    .finally(() => {
      clearInterval(tick);
      fs.closeSync(log);
    });
}

module.exports = { runStep };
