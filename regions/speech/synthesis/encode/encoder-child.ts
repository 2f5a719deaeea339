import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { SynthesisError } from "../synthesis-error.ts";
import { KIND_BYTES, KIND_DONE, MAX_PAYLOAD, OUTPUT_FD, type EncodeRequest } from "./protocol.ts";

const ENTRY = fileURLToPath(new URL("./encoder-process.ts", import.meta.url));

/** One encoder process, from spawn to death. */
export class EncoderChild {
  jobs = 0;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #output: Readable;
  #wake: (() => void) | undefined;

  constructor() {
    this.#child = fork(ENTRY, [], {
      env: {},
      execArgv: ["--max-old-space-size=128", "--max-semi-space-size=2"],
      stdio: ["pipe", "ignore", "ignore", "pipe", "ipc"],
    });
    this.#exited = new Promise((resolve) => {
      this.#child.once("exit", () => resolve());
      this.#child.on("error", () => resolve());
    });
    // A process that died is seen on its output; what could not be written to it is of no account then.
    this.#child.stdin!.on("error", () => undefined);
    this.#output = this.#child.stdio[OUTPUT_FD] as Readable;
    for (const event of ["readable", "end", "close", "error"]) {
      this.#output.on(event, () => this.#wake?.());
    }
  }

  get alive(): boolean {
    return (
      this.#child.exitCode === null && this.#child.signalCode === null && this.#child.connected
    );
  }

  start(request: EncodeRequest): void {
    this.jobs += 1;
    this.#child.send(request, () => {});
  }

  /** Hands over samples; without any, ends the job. Resolves when there is room for more. */
  async write(samples?: Int16Array): Promise<void> {
    const bytes = samples?.byteLength ?? 0;
    const frame = Buffer.alloc(4 + bytes);
    frame.writeUInt32LE(bytes, 0);
    if (samples) frame.set(new Uint8Array(samples.buffer, samples.byteOffset, bytes), 4);
    const stdin = this.#child.stdin!;
    if (!stdin.write(frame) && this.alive) await Promise.race([once(stdin, "drain"), this.#exited]);
  }

  /**
   * The next bytes of the job that runs; undefined when it is done.
   * @throws {SynthesisError} synthesis_crashed
   */
  async next(): Promise<Buffer | undefined> {
    const head = await this.#take(8);
    const kind = head.readUInt32LE(0);
    const length = head.readUInt32LE(4);
    if (kind === KIND_DONE) return undefined;
    if (length > MAX_PAYLOAD) throw this.#crash("it sent what is not in its protocol");
    const payload = await this.#take(length);
    if (kind === KIND_BYTES) return payload;
    throw this.#crash(payload.toString());
  }

  /** Kills the process and waits until it is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
    for (const stream of this.#child.stdio) stream?.destroy();
    this.#wake?.();
  }

  async #take(bytes: number): Promise<Buffer> {
    for (;;) {
      const chunk = this.#output.read(bytes) as Buffer | null;
      if (chunk?.length === bytes) return chunk;
      if (chunk !== null || this.#output.readableEnded || this.#output.destroyed) {
        throw this.#crash("it ended");
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #crash(why: string): SynthesisError {
    return new SynthesisError("synthesis_crashed", `The encoder failed: ${why}.`);
  }
}
