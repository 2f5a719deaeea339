import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/**
 * What tells a process from a later one with the same number: when it started. Undefined when there is no such process
 * (one that is dead and only waits to be reaped counts as gone).
 */
export function processStartTime(pid: number): string | undefined {
  if (process.platform === "linux") {
    const stat = readStat(pid);
    return stat === undefined || stat.state === "Z" ? undefined : `${bootId()}:${stat.startTicks}`;
  }
  try {
    const line = execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
    return line === "" ? undefined : line;
  } catch {
    return undefined;
  }
}

/** The living members of a process group whose environment holds `marker` (NAME=value). Empty where there is no /proc. */
export function markedGroupMembers(group: number, marker: string): number[] {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && readStat(pid)?.group === group && hasMarker(pid, marker));
}

/** The living processes whose working directory is `folder` (a real path). Empty where there is no /proc. */
export function processesIn(folder: string): number[] {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && workingDirectory(pid) === folder);
}

function workingDirectory(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined;
  }
}

function hasMarker(pid: number, marker: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(marker);
  } catch {
    return false;
  }
}

type Stat = { state: string; group: number; startTicks: string };

function readStat(pid: number): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // The second field is the command in brackets and may hold anything; the rest starts after the last bracket.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, group, startTicks] = [fields[0], fields[2], fields[19]];
  if (state === undefined || group === undefined || startTicks === undefined) return undefined;
  return { state, group: Number(group), startTicks };
}

let boot: string | undefined;
function bootId(): string {
  boot ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return boot;
}
