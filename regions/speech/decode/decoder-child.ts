import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { MakeBlock } from "./create-blocks.ts";
import { createFrameReader } from "./frame-reader.ts";
import type { DecoderFrame } from "./frame-reader.ts";
import { DecoderError } from "./decoder-error.ts";
import { FRAME_FD } from "./frame-format.ts";
import type { DecoderRequest } from "./protocol.ts";

const ENTRY = fileURLToPath(new URL("./decoder-process.ts", import.meta.url));
const STDERR_KEPT = 2000;

interface NextOptions {
  stallMs: number;
  signal: AbortSignal;
  makeBlock: MakeBlock;
}

/** One decoder process, from spawn to death. */
export class DecoderChild {
  jobs = 0;
  readonly #child: ChildProcess;
  readonly #reader: ReturnType<typeof createFrameReader>;
  readonly #exited: Promise<void>;
  #stderr = "";
  /** Killed for its silence. What it had sent just before may still be read, and its end comes with a later frame then. */
  #stalled = false;

  constructor() {
    this.#child = fork(ENTRY, [], {
      env: {},
      execArgv: ["--max-old-space-size=256", "--max-semi-space-size=2"],
      stdio: ["ignore", "ignore", "pipe", "pipe", "ipc"],
    });
    this.#exited = new Promise((resolve) => {
      this.#child.once("exit", () => resolve());
      this.#child.on("error", () => resolve());
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-STDERR_KEPT);
    });
    this.#reader = createFrameReader(this.#child.stdio[FRAME_FD] as Readable);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get alive(): boolean {
    return (
      this.#child.exitCode === null && this.#child.signalCode === null && this.#child.connected
    );
  }

  start(request: DecoderRequest): void {
    this.jobs += 1;
    this.#child.send(request, () => {});
  }

  /**
   * The next frame of the job that runs.
   * @throws {DecoderError} `decoder_crashed`, or `decoder_stalled` after `stallMs` without one; the process is then dead
   */
  async next({ stallMs, signal, makeBlock }: NextOptions): Promise<DecoderFrame> {
    const kill = () => this.#child.kill("SIGKILL");
    const stall = () =>
      new DecoderError("decoder_stalled", `The decoder was silent for ${stallMs} ms.`);
    const timer = setTimeout(() => {
      this.#stalled = true;
      kill();
    }, stallMs);
    // The kill ends the pipe, which ends the wait below.
    signal.addEventListener("abort", kill, { once: true });
    try {
      signal.throwIfAborted();
      const frame = await this.#reader.next(makeBlock);
      signal.throwIfAborted();
      if (frame !== undefined) return frame;
      if (this.#stalled) throw stall();
      await this.kill();
      throw new DecoderError("decoder_crashed", this.#lastWords());
    } catch (error) {
      kill();
      if (error instanceof DecoderError || signal.aborted) throw error;
      // Killed in the middle of a frame.
      if (this.#stalled) throw stall();
      throw new DecoderError("decoder_crashed", "The decoder sent what is not in its protocol.");
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", kill);
    }
  }

  /** Kills the process and waits until it is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
    for (const stream of this.#child.stdio) stream?.destroy();
  }

  #lastWords(): string {
    const how = this.#child.signalCode ?? `exit code ${this.#child.exitCode}`;
    const said = this.#stderr.trim();
    return `The decoder process died (${how}).${said === "" ? "" : ` It said: ${said}`}`;
  }
}
