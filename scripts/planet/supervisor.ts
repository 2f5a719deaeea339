import { join } from "node:path";
import { createPidRegister } from "./pid-register.ts";
import {
  type ProcessEvent,
  type ProcessSpec,
  type ProcessState,
  SupervisedProcess,
} from "./supervised-process.ts";

export type ProcessStatus = {
  name: string;
  state: ProcessState;
  pid: number | null;
  restarts: number;
};

/** Keeps a set of named processes running; see SupervisedProcess. */
export type Supervisor = {
  /** Ends what an earlier supervisor, itself killed, left running here. Returns the names. */
  cleanStale(): Promise<string[]>;
  /** Adds a process, or replaces one of that name that is down, and starts it. Resolves when it is ready. */
  start(spec: ProcessSpec, signal?: AbortSignal): Promise<SupervisedProcess>;
  find(name: string): SupervisedProcess | undefined;
  status(): ProcessStatus[];
  /** Stops every process at once; the caller stops in order what needs an order before. */
  stopAll(): Promise<void>;
};

/**
 * @param stateDir notes of the running processes are kept in its folder `pids`
 * @param onEvent told when a process became ready and when it died
 */
export function createSupervisor({
  stateDir,
  onEvent = () => undefined,
}: {
  stateDir: string;
  onEvent?: (event: ProcessEvent) => void;
}): Supervisor {
  const pids = createPidRegister(join(stateDir, "pids"));
  const processes = new Map<string, SupervisedProcess>();

  return {
    cleanStale: () => pids.clean(),
    async start(spec, signal) {
      const before = processes.get(spec.name);
      if (before !== undefined && before.state !== "down") {
        throw new Error(`${spec.name} is ${before.state} already`);
      }
      const process = new SupervisedProcess(spec, pids, onEvent);
      processes.set(spec.name, process);
      await process.start(signal);
      return process;
    },
    find: (name) => processes.get(name),
    status: () =>
      Array.from(processes.values(), ({ spec, state, pid, restarts }) => {
        return { name: spec.name, state, pid: pid ?? null, restarts };
      }),
    async stopAll() {
      await Promise.allSettled(Array.from(processes.values(), (process) => process.stop()));
    },
  };
}
