import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { killGroup, type PidRegister } from "./pid-register.ts";
import { waitFor } from "./wait-for.ts";
import { withParentDeath } from "./with-parent-death.ts";

/** What to run, asked for anew at each start (a file may have to be written, a port may have changed). */
export type Command = {
  command: string;
  args: string[];
  /** Added to PATH, HOME and TMPDIR; nothing else of the supervisor's own environment is passed on. */
  env?: Record<string, string>;
  cwd?: string;
  /** Another account to run as. */
  uid?: number;
  gid?: number;
};

export type ProcessSpec = {
  name: string;
  command: () => Command | Promise<Command>;
  /** stdout and stderr are appended here; a large one is rotated to `.1` at each start. */
  logFile: string;
  /** True once it serves. Without it a process is ready as soon as it runs. */
  ready?: (signal: AbortSignal) => Promise<boolean>;
  readyTimeoutMs?: number;
  /** Asks it to end; default SIGTERM. */
  stopSignal?: NodeJS.Signals;
  /** How long it may take to end before it is killed. */
  graceMs?: number;
  /** Pause before the first restart; doubles up to `maxBackoffMs` while it keeps dying. */
  backoffMs?: number;
  maxBackoffMs?: number;
};

/** down: meant to be; dead: not meant to be, and will be started again. */
export type ProcessState = "down" | "starting" | "ready" | "dead" | "stopping";

export type ProcessEvent =
  | { kind: "ready"; name: string; pid: number; restarts: number }
  | { kind: "died"; name: string; how: string; restartInMs: number }
  /** On purpose, but not by whoever runs the planet. */
  | { kind: "stopped"; name: string; why: string };

const MAX_LOG_BYTES = 16 * 2 ** 20;
/** A process that lived this long is healthy: its next death starts with the shortest pause again. */
const HEALTHY_MS = 30_000;

/** One child process that is kept running until it is told to be down. */
export class SupervisedProcess {
  readonly spec: ProcessSpec;
  state: ProcessState = "down";
  restarts = 0;
  readonly #pids: PidRegister;
  readonly #tell: (event: ProcessEvent) => void;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #wanted: AbortController | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(spec: ProcessSpec, pids: PidRegister, tell: (event: ProcessEvent) => void) {
    this.spec = spec;
    this.#pids = pids;
    this.#tell = tell;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Starts it and waits until it is ready; from then on it is started again whenever it dies.
   * @throws when the first start does not become ready (it is then down)
   */
  async start(signal?: AbortSignal): Promise<void> {
    if (this.#wanted !== undefined) return;
    const wanted = new AbortController();
    this.#wanted = wanted;
    try {
      await this.#run(
        signal === undefined ? wanted.signal : AbortSignal.any([wanted.signal, signal]),
      );
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#loop = this.#keepRunning(wanted.signal);
  }

  /** Ends it and leaves it down: politely, and by force after the grace. */
  async stop(): Promise<void> {
    this.#wanted?.abort(new Error(`${this.spec.name} was told to stop`));
    const child = this.#child;
    if (child !== undefined) {
      this.state = "stopping";
      child.kill(this.spec.stopSignal ?? "SIGTERM");
      const grace = new AbortController();
      const timer = sleep(this.spec.graceMs ?? 10_000, true, { signal: grace.signal }).catch(
        () => false,
      );
      const late = await Promise.race([timer, this.#exited.then(() => false)]);
      grace.abort();
      if (late && child.pid !== undefined) killGroup(child.pid);
      await this.#exited;
    }
    await this.#loop;
    this.#wanted = undefined;
    this.state = "down";
  }

  /** Kills it and leaves it down, as a disaster would: no signal that it could handle, children included. */
  async takeDown(): Promise<void> {
    this.#wanted?.abort(new Error(`${this.spec.name} was taken down`));
    if (this.#child?.pid !== undefined) killGroup(this.#child.pid);
    await this.stop();
  }

  /** Sends a signal behind the supervisor's back, as a fault would. */
  kill(signal: NodeJS.Signals): boolean {
    return this.#child?.kill(signal) ?? false;
  }

  async #keepRunning(signal: AbortSignal): Promise<void> {
    const { name, backoffMs = 250, maxBackoffMs = 10_000 } = this.spec;
    let pause = backoffMs;
    let since = Date.now();
    let how = await this.#untilExit();
    while (!signal.aborted) {
      if (Date.now() - since > HEALTHY_MS) pause = backoffMs;
      this.state = "dead";
      this.#tell({ kind: "died", name, how, restartInMs: pause });
      await sleep(pause, undefined, { signal }).catch(() => undefined);
      pause = Math.min(pause * 2, maxBackoffMs);
      if (signal.aborted) return;
      this.restarts += 1;
      since = Date.now();
      try {
        await this.#run(signal);
        how = await this.#untilExit();
      } catch (error) {
        if (signal.aborted) return;
        how = error instanceof Error ? error.message : String(error);
        await this.#endUnready();
      }
    }
  }

  async #endUnready(): Promise<void> {
    if (this.#child?.pid !== undefined) killGroup(this.#child.pid);
    await this.#exited;
  }

  #how = "";
  async #untilExit(): Promise<string> {
    await this.#exited;
    return this.#how;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { name, logFile, ready, readyTimeoutMs = 60_000 } = this.spec;
    this.state = "starting";
    const plan = await this.spec.command();
    signal.throwIfAborted();
    const [marker, value] = this.#pids.marker;
    const { command, args } = withParentDeath(plan, this.spec.stopSignal ?? "SIGTERM");
    const log = openLog(logFile);
    const child = spawn(command, args, {
      cwd: plan.cwd,
      env: { ...inherited(), ...plan.env, [marker]: value },
      ...(plan.uid === undefined ? {} : { uid: plan.uid }),
      ...(plan.gid === undefined ? {} : { gid: plan.gid }),
      stdio: ["ignore", log, log],
      // A group of its own: the terminal's Ctrl-C reaches only the supervisor, which then stops all in order.
      detached: true,
    });
    closeSync(log);
    this.#child = child;
    const gone = new AbortController();
    this.#exited = new Promise((resolve) => {
      const end = (how: string) => {
        this.#how = how;
        this.#child = undefined;
        this.#pids.remove(name);
        gone.abort(new Error(`${name} ${how}; see ${logFile}`));
        resolve();
      };
      child.once("error", (error) => end(`could not be run: ${error.message}`));
      child.once("exit", (code, by) => {
        // What it started must not outlive it and hold its ports.
        if (child.pid !== undefined) killGroup(child.pid);
        end(by === null ? `exited with ${code}` : `was ended by ${by}`);
      });
    });
    if (child.pid !== undefined) this.#pids.add(name, child.pid, this.spec.stopSignal ?? "SIGTERM");
    if (ready !== undefined) {
      const either = AbortSignal.any([signal, gone.signal]);
      await waitFor(ready, {
        what: `${name} to be ready`,
        timeoutMs: readyTimeoutMs,
        signal: either,
      });
    }
    gone.signal.throwIfAborted();
    signal.throwIfAborted();
    this.state = "ready";
    this.#tell({ kind: "ready", name, pid: child.pid ?? 0, restarts: this.restarts });
  }
}

function inherited(): Record<string, string> {
  const pairs = ["PATH", "HOME", "TMPDIR"].map((name) => [name, process.env[name]] as const);
  return Object.fromEntries(
    pairs.filter((pair): pair is [string, string] => pair[1] !== undefined),
  );
}

function openLog(file: string): number {
  mkdirSync(dirname(file), { recursive: true });
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size > MAX_LOG_BYTES) renameSync(file, `${file}.1`);
  return openSync(file, "a", 0o600);
}
