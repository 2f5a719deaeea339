import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { regions } from "../../../shared/contracts/regions.ts";
import { edgeProcess } from "../../../scripts/planet/edge-process.ts";
import { freePort } from "../../../scripts/planet/ports.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
/** Of /proc/PID/stat, on every Linux that Node runs on. */
const TICKS_PER_S = 100;

export interface RunningWorker {
  port: number;
  url: string;
  /** CPU time of workerd, in which the Worker, its objects and its KV run, ms. */
  cpuMs(): Promise<number>;
  close(): Promise<void>;
}

/** Runs a Worker under workerd as the planet runs its edge. */
export async function startWorker(
  dir: string,
  configFile: string,
  bindings: Record<string, string>,
): Promise<RunningWorker> {
  const port = await freePort();
  const home = regions[0]!;
  mkdirSync(join(dir, "logs"), { recursive: true });
  const spec = edgeProcess({ root: ROOT, stateDir: dir, port, home, bindings, configFile });
  const { command, args, env, cwd } = await spec.command();
  const log = openSync(join(dir, "logs/worker.log"), "a");
  const child = spawn(command, args, {
    stdio: ["ignore", log, log],
    cwd,
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...env },
  });
  closeSync(log);
  const exit = once(child, "exit");
  const url = `http://127.0.0.1:${port}`;
  while (
    !(await fetch(`${url}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    if (child.exitCode !== null)
      throw new Error((await readFile(join(dir, "logs/worker.log"), "utf8")).slice(-1500));
    await sleep(50);
  }
  const pids = await childrenOf(child.pid!);
  return {
    port,
    url,
    async cpuMs() {
      const used = await Promise.all(pids.map(ticksOf));
      return (used.reduce((a, b) => a + b, 0) * 1000) / TICKS_PER_S;
    },
    async close() {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), 5_000);
      await exit;
      clearTimeout(timer);
    },
  };
}

async function childrenOf(pid: number): Promise<number[]> {
  const tasks = await readdir(`/proc/${pid}/task`);
  const lists = await Promise.all(
    tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, "utf8").catch(() => "")),
  );
  return lists.join(" ").split(/\s+/).filter(Boolean).map(Number);
}

async function ticksOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // The name, in parentheses, may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
