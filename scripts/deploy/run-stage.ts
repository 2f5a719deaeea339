import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { StagePlan } from "./plan-stage.ts";

export interface RunStage {
  root: string;
  /** The deployment's folder. */
  folder: string;
  apply: boolean;
  /** What the state forgets before an apply, and so is made anew; what it was goes on without Terraform. */
  forget: string[];
  environment: NodeJS.ProcessEnv;
  signal: AbortSignal;
}

/** `init`, then `plan` into a file, then (with `apply`) exactly that plan. Returns the outputs after an apply. */
export async function runStage(plan: StagePlan, options: RunStage): Promise<unknown> {
  const { root, folder, apply, forget, signal } = options;
  const stage = join(root, "terraform/stages", plan.stage);
  const work = join(folder, ".terraform", plan.name);
  await mkdir(work, { recursive: true, mode: 0o700 });
  const variables = join(work, "terraform.tfvars.json");
  await writeFile(variables, JSON.stringify(plan.variables, null, 2), { mode: 0o600 });

  const environment = {
    ...options.environment,
    TF_DATA_DIR: join(work, "data"),
    TF_IN_AUTOMATION: "1",
    ...Object.fromEntries(
      Object.entries(plan.secrets).map(([name, value]) => [`TF_VAR_${name}`, value]),
    ),
  };
  const terraform = (args: string[], capture = false) =>
    new Promise<string>((resolve, reject) => {
      const child = spawn(options.environment["TERRAFORM"] ?? "terraform", args, {
        cwd: stage,
        env: environment,
        signal,
        stdio: ["inherit", capture ? "pipe" : "inherit", "inherit"],
      });
      const out: Buffer[] = [];
      child.stdout?.on("data", (chunk: Buffer) => out.push(chunk));
      child.once("error", reject);
      child.once("close", (code) => {
        if (code === 0) resolve(Buffer.concat(out).toString("utf8"));
        else reject(new Error(`terraform ${args[0]} of ${plan.name} ended with ${code}`));
      });
    });

  // The first bucket has none to keep its state in: it is small, tells no secret, and stays in the deployment's folder.
  const state = join(folder, "state", `${plan.name}.tfstate`);
  if (!plan.backend) await mkdir(join(folder, "state"), { recursive: true });
  const backend = Object.entries(plan.backend ?? {}).map(
    ([name, value]) => `-backend-config=${name}=${value}`,
  );
  const local = plan.backend ? [] : [`-state=${state}`];
  const saved = join(work, "plan");
  await terraform(["init", "-input=false", "-reconfigure", ...backend]);
  if (apply && forget.length > 0) await terraform(["state", "rm", ...forget]);
  await terraform([
    "plan",
    "-input=false",
    `-var-file=${variables}`,
    `-out=${saved}`,
    ...local,
    ...(apply ? [] : forget.map((address) => `-replace=${address}`)),
  ]);
  if (!apply) return undefined;
  await terraform(["apply", "-input=false", ...local, saved]);
  return JSON.parse(await terraform(["output", "-json", ...local], true));
}
