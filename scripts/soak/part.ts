import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { FromPart, ToPart } from "./part-messages.ts";

export interface Measure {
  rssMb: number;
  heapMb: number;
  handles: number;
}

/** A worker or keeper process of a soak, started again whenever it dies. */
export interface Part {
  name: string;
  /** Deaths by its own hand, and by `kill`. */
  deaths(): number;
  kill(): void;
  /** SIGSTOP, and SIGCONT once `resume` is called. */
  pause(): { resume(): void };
  measure(): Promise<Measure>;
  /** Asks it to end, and kills it when it takes too long. It is not started again. */
  stop(): Promise<void>;
}

const RESTART_MS = 200;
const STOP_MS = 10_000;

export async function startPart(options: {
  name: string;
  entry: string;
  env: Record<string, string>;
  logFile: string;
}): Promise<Part> {
  const { name, entry, env, logFile } = options;
  const path = fileURLToPath(new URL(entry, import.meta.url));
  let wanted = true;
  let deaths = 0;
  let restart: NodeJS.Timeout | undefined;
  let child = spawn();

  function spawn(): ChildProcess {
    const log = openSync(logFile, "a");
    // The argument shows in the list of processes where one belongs to.
    const started = fork(path, [logFile], {
      execArgv: ["--expose-gc"],
      stdio: ["ignore", log, log, "ipc"],
      env: { PATH: process.env["PATH"], ...env },
    });
    closeSync(log);
    started.once("exit", () => {
      if (!wanted) return;
      deaths += 1;
      restart = setTimeout(() => (child = spawn()), RESTART_MS);
    });
    return started;
  }

  async function heard<T extends FromPart["type"]>(type: T): Promise<FromPart & { type: T }> {
    const from = child;
    for (;;) {
      const [message] = (await Promise.race([
        once(from, "message"),
        once(from, "exit").then(() => {
          throw new Error(`${name} ended: see ${logFile}`);
        }),
      ])) as [FromPart];
      if (message.type === type) return message as FromPart & { type: T };
    }
  }

  await heard("ready");
  return {
    name,
    deaths: () => deaths,
    kill: () => void child.kill("SIGKILL"),
    pause() {
      const paused = child;
      paused.kill("SIGSTOP");
      return { resume: () => void paused.kill("SIGCONT") };
    },
    async measure() {
      const answer = heard("measured");
      child.send("measure" satisfies ToPart);
      const { rssMb, heapMb, handles } = await answer;
      return { rssMb, heapMb, handles };
    },
    async stop() {
      wanted = false;
      clearTimeout(restart);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exit = once(child, "exit");
      child.kill("SIGCONT");
      if (child.connected) child.send("stop" satisfies ToPart);
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await exit;
      clearTimeout(timer);
    },
  };
}
