import { spawn } from "node:child_process";

export interface TerraformResult {
  code: number;
  stdout: string;
  /** Both outputs, trimmed. */
  text: string;
}

export type RunTerraform = (cwd: string, args: string[]) => Promise<TerraformResult>;

export interface TerraformOptions {
  program: string;
  /** What is set beside PATH and HOME; the rest of the environment, with whatever credentials it has, stays outside. */
  environment: Record<string, string>;
  path: string | undefined;
  home: string | undefined;
  signal: AbortSignal;
}

/** Runs Terraform, one call at a time is the caller's to see to. Never rejects for a failing one; rejects when it cannot be started. */
export function createRunTerraform(options: TerraformOptions): RunTerraform {
  const { program, environment, path, home, signal } = options;
  return (cwd, args) =>
    new Promise((resolve, reject) => {
      const child = spawn(program, args, {
        cwd,
        signal,
        env: {
          ...(path === undefined ? {} : { PATH: path }),
          ...(home === undefined ? {} : { HOME: home }),
          ...environment,
          TF_IN_AUTOMATION: "1",
          TF_INPUT: "0",
          CHECKPOINT_DISABLE: "1",
          NO_COLOR: "1",
        },
        stdio: ["ignore", "pipe", "pipe"],
      });
      const out: Buffer[] = [];
      const all: Buffer[] = [];
      child.stdout.on("data", (chunk: Buffer) => {
        out.push(chunk);
        all.push(chunk);
      });
      child.stderr.on("data", (chunk: Buffer) => all.push(chunk));
      child.once("error", reject);
      child.once("close", (code) =>
        resolve({
          code: code ?? -1,
          stdout: Buffer.concat(out).toString("utf8"),
          text: Buffer.concat(all).toString("utf8").trim(),
        }),
      );
    });
}
