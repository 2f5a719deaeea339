import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { openSync, closeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export interface MeasuredServer {
  port: number;
  /** CPU time used so far by all of its threads, ms. */
  cpuMs(): Promise<number>;
  close(): Promise<void>;
}

const REPORT_CPU = new URL("./report-cpu.ts", import.meta.url).href;

/** Runs `entry` as a process of its own that listens on `port` and logs into `logFile`. ANTIPHON_BENCH_NODE_OPTIONS goes to its node. */
export async function startMeasuredServer(
  entry: URL,
  { port, logFile, env }: { port: number; logFile: string; env: Record<string, string> },
): Promise<MeasuredServer> {
  const log = openSync(logFile, "a");
  const more = process.env["ANTIPHON_BENCH_NODE_OPTIONS"]?.split(" ") ?? [];
  const child = spawn(process.execPath, [...more, "--import", REPORT_CPU, fileURLToPath(entry)], {
    stdio: ["ignore", log, log, "ipc"],
    env: { PATH: process.env["PATH"], ...env, PORT: String(port) },
  });
  closeSync(log);
  const exit = once(child, "exit");
  const close = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
    await exit;
    clearTimeout(timer);
  };
  while (!(await listens(port))) {
    if (child.exitCode !== null) throw new Error(`${entry.pathname} ended at once: see ${logFile}`);
    await sleep(20);
  }
  return {
    port,
    async cpuMs() {
      const answer = once(child, "message") as Promise<[number]>;
      child.send("cpu");
      return (await answer)[0];
    },
    close,
  };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
