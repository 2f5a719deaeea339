import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Where a program lies on the PATH, or undefined. */
export function findProgram(name: string): string | undefined {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    if (folder === "") continue;
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not here; the next folder may have it.
    }
  }
  return undefined;
}

/**
 * Has the kernel send `signal` to the process when its parent dies, where the system can do that (Linux with util-linux).
 * `setpriv` replaces itself by the command, so that the process id stays that of the command.
 */
export function withParentDeath<T extends { command: string; args: string[] }>(
  plan: T,
  signal: NodeJS.Signals,
): T {
  const setpriv = process.platform === "linux" ? findProgram("setpriv") : undefined;
  if (setpriv === undefined) return plan;
  const death = ["--pdeathsig", signal.replace(/^SIG/, "")];
  // Set last by whoever changes the user: a change of credentials clears it.
  if (plan.command === setpriv) return { ...plan, args: [...death, ...plan.args] };
  return { ...plan, command: setpriv, args: [...death, "--", plan.command, ...plan.args] };
}
