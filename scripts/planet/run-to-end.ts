import { spawn } from "node:child_process";
import type { Command } from "./supervised-process.ts";

/** Runs a command to its end. @throws with the end of its output when it fails */
export function runToEnd(
  { command, args, cwd, env, uid, gid }: Command,
  { signal }: { signal?: AbortSignal } = {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { PATH: process.env["PATH"], ...env },
      stdio: ["ignore", "pipe", "pipe"],
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
      ...(signal === undefined ? {} : { signal }),
    });
    let output = "";
    const keep = (bytes: Buffer) => {
      output = (output + bytes.toString("utf8")).slice(-8_000);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.once("error", reject);
    child.once("close", (code, by) => {
      if (code === 0) resolve();
      else
        reject(
          new Error(
            `${command} ${by === null ? `exited with ${code}` : `was ended by ${by}`}\n${output}`,
          ),
        );
    });
  });
}
