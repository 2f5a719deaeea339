import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { markedGroupMembers, processStartTime } from "./process-identity.ts";
import { waitFor } from "./wait-for.ts";

/** The environment variable by which a child, and its children, can be told to be ours. */
export const SUPERVISED_BY = "ANTIPHON_SUPERVISED_BY";

const note = z.object({
  pid: z.number().int().positive(),
  started: z.string(),
  signal: z.string(),
});
const GRACE_MS = 5_000;

/**
 * Notes on disk of which processes run, so that a supervisor that was itself killed leaves none behind for good:
 * the next one ends them. A process is only ever ended when its start time shows that it is the noted one.
 */
export type PidRegister = {
  /** The marker to put into the environment of each child, as [name, value]. */
  readonly marker: readonly [string, string];
  add(name: string, pid: number, stopSignal: NodeJS.Signals): void;
  remove(name: string): void;
  /** Ends what an earlier supervisor left running, politely first. Returns the names of those that still ran. */
  clean(): Promise<string[]>;
};

/** @param folder where the notes lie, one file a process; it also is the marker's value */
export function createPidRegister(folder: string): PidRegister {
  mkdirSync(folder, { recursive: true });
  const fileOf = (name: string) => join(folder, `${name}.json`);

  async function end(file: string): Promise<boolean> {
    const parsed = note.safeParse(readJson(join(folder, file)));
    let ended = false;
    if (parsed.success) {
      const { pid, started, signal } = parsed.data;
      const runs = () => processStartTime(pid) === started;
      if (runs()) {
        ended = true;
        kill(pid, signal as NodeJS.Signals);
        await waitFor(() => !runs(), { what: file, timeoutMs: GRACE_MS }).catch(() => {
          if (runs()) killGroup(pid);
        });
        await waitFor(() => !runs(), { what: `process ${pid} to end`, timeoutMs: GRACE_MS });
      }
      for (const member of markedGroupMembers(pid, `${SUPERVISED_BY}=${folder}`)) {
        ended = true;
        kill(member, "SIGKILL");
      }
    }
    rmSync(join(folder, file), { force: true });
    return ended;
  }

  return {
    marker: [SUPERVISED_BY, folder],
    add(name, pid, stopSignal) {
      const started = processStartTime(pid);
      if (started === undefined) return;
      writeFileSync(fileOf(name), JSON.stringify({ pid, started, signal: stopSignal }));
    },
    remove: (name) => rmSync(fileOf(name), { force: true }),
    async clean() {
      const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
      const ended = await Promise.all(files.map(end));
      return files.filter((_, at) => ended[at]).map((file) => file.slice(0, -".json".length));
    },
  };
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

/** Sends a signal to a process; one that is gone already is no error. */
function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // EPERM is macOS's answer for a group of which only a corpse is left.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}

/** Kills a process and what it started (children are started as leaders of their own group). */
export function killGroup(pid: number): void {
  kill(-pid, "SIGKILL");
}
