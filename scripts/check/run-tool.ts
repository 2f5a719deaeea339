import { spawn } from "node:child_process";
import { join } from "node:path";

/** The end of a tool: its exit status (-1 when a signal ended it) and what it printed. */
export interface ToolResult {
  code: number;
  stdout: string;
  stderr: string;
}

/**
 * Runs a development tool by its JavaScript entry, under this process's own Node: no shell, and no PATH to depend on.
 * Never rejects for a failing tool; rejects when the tool cannot be started or `signal` fires.
 *
 * @param entry path inside node_modules, such as `oxlint/bin/oxlint`
 * @param options.preload URL of a module that Node loads before the tool
 */
export function runTool(
  entry: string,
  args: string[],
  options: { root: string; cwd?: string; preload?: string; signal: AbortSignal },
): Promise<ToolResult> {
  const { root, cwd = root, preload, signal } = options;
  const flags = preload === undefined ? [] : ["--import", preload];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...flags, join(root, "node_modules", entry), ...args], {
      cwd,
      signal,
      env: plainEnvironment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    child.on("error", reject);
    child.on("close", (code) =>
      resolve({
        code: code ?? -1,
        stdout: Buffer.concat(out).toString("utf8"),
        stderr: Buffer.concat(err).toString("utf8"),
      }),
    );
  });
}

/** Both outputs as one text, trimmed. */
export function textOf(result: ToolResult): string {
  return `${result.stdout}\n${result.stderr}`.trim();
}

/** The tools print for a log: some take a FORCE_COLOR of any value, or CI, as leave to colour. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const { FORCE_COLOR: _colour, CI: _ci, ...rest } = process.env;
  return { ...rest, NO_COLOR: "1" };
}
