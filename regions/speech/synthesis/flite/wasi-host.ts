import { type WasmImports, type WasmMemory } from "./web-assembly.ts";

/**
 * The little of WASI (preview 1) that flite's command line uses, in memory: it can read its arguments and write one file,
 * and there is no other file, no clock, no randomness and no environment. The same arguments give the same bytes.
 */

const SUCCESS = 0;
const BAD_DESCRIPTOR = 8;
const NO_ENTRY = 44;
const NO_SPACE = 51;
const PREOPENED = 3;
const OUTPUT = 4;
const CHARACTER_DEVICE = 2;
const DIRECTORY = 3;
const REGULAR_FILE = 4;
const STANDARD_OUTPUT = 1;
const MAX_PRINTED = 64 * 1024;

/** How the module ends itself. */
export class ModuleExit extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`exit status ${status}`);
    this.status = status;
  }
}

export interface WasiHost {
  imports: WasmImports;
  /** Must be set before the module runs. */
  attach(memory: WasmMemory): void;
  /** What was written to the file, to be read once the module has ended. */
  output(): Uint8Array<ArrayBuffer>;
  /** What was printed, up to `MAX_PRINTED`. */
  printed(): string;
}

/** @param outputPath what the module may open, relative to its only folder `/`; `maxBytes` is its greatest length */
export function createWasiHost(
  args: readonly string[],
  outputPath: string,
  maxBytes: number,
): WasiHost {
  const encoded = args.map((arg) => new TextEncoder().encode(`${arg.replaceAll("\0", "")}\0`));
  let memory: WasmMemory | undefined;
  let file = new Uint8Array(1 << 16);
  let length = 0;
  let position = 0;
  let printed = "";

  // Anew each time: the buffer is replaced when the memory grows.
  const view = () => new DataView(memory!.buffer);
  const bytes = () => new Uint8Array(memory!.buffer);

  function store(chunk: Uint8Array): boolean {
    const end = position + chunk.length;
    if (end > maxBytes) return false;
    if (end > file.length) {
      const larger = new Uint8Array(Math.min(maxBytes, Math.max(end, file.length * 2)));
      larger.set(file.subarray(0, length));
      file = larger;
    }
    file.set(chunk, position);
    position = end;
    length = Math.max(length, end);
    return true;
  }

  const wasi_snapshot_preview1 = {
    args_sizes_get(count: number, size: number) {
      view().setUint32(count, encoded.length, true);
      view().setUint32(
        size,
        encoded.reduce((sum, arg) => sum + arg.length, 0),
        true,
      );
      return SUCCESS;
    },
    args_get(pointers: number, buffer: number) {
      let at = buffer;
      encoded.forEach((arg, i) => {
        view().setUint32(pointers + i * 4, at, true);
        bytes().set(arg, at);
        at += arg.length;
      });
      return SUCCESS;
    },
    clock_time_get(_clock: number, _precision: bigint, time: number) {
      view().setBigUint64(time, 0n, true);
      return SUCCESS;
    },
    fd_close: () => SUCCESS,
    fd_fdstat_get(descriptor: number, stat: number) {
      const type = [CHARACTER_DEVICE, CHARACTER_DEVICE, CHARACTER_DEVICE, DIRECTORY, REGULAR_FILE];
      if (type[descriptor] === undefined) return BAD_DESCRIPTOR;
      bytes().fill(0, stat, stat + 24);
      view().setUint8(stat, type[descriptor]);
      view().setBigUint64(stat + 8, 0x1fff_ffffn, true);
      view().setBigUint64(stat + 16, 0x1fff_ffffn, true);
      return SUCCESS;
    },
    fd_fdstat_set_flags: () => SUCCESS,
    fd_prestat_get(descriptor: number, stat: number) {
      if (descriptor !== PREOPENED) return BAD_DESCRIPTOR;
      view().setUint32(stat, 0, true);
      view().setUint32(stat + 4, 1, true);
      return SUCCESS;
    },
    fd_prestat_dir_name(descriptor: number, path: number) {
      if (descriptor !== PREOPENED) return BAD_DESCRIPTOR;
      bytes()[path] = "/".charCodeAt(0);
      return SUCCESS;
    },
    path_open(...[, , path, pathLength, , , , , opened]: number[]) {
      const name = new TextDecoder().decode(bytes().slice(path!, path! + pathLength!));
      if (name !== outputPath) return NO_ENTRY;
      length = 0;
      position = 0;
      view().setUint32(opened!, OUTPUT, true);
      return SUCCESS;
    },
    fd_read(_descriptor: number, _vectors: number, _count: number, read: number) {
      view().setUint32(read, 0, true);
      return SUCCESS;
    },
    fd_seek(descriptor: number, offset: bigint, whence: number, at: number) {
      if (descriptor !== OUTPUT) return BAD_DESCRIPTOR;
      const base = [0, position, length][whence] ?? 0;
      position = Math.min(Math.max(0, base + Number(offset)), maxBytes);
      view().setBigUint64(at, BigInt(position), true);
      return SUCCESS;
    },
    fd_write(descriptor: number, vectors: number, count: number, written: number) {
      let sum = 0;
      for (let i = 0; i < count; i += 1) {
        const at = view().getUint32(vectors + i * 8, true);
        const size = view().getUint32(vectors + i * 8 + 4, true);
        if (descriptor === STANDARD_OUTPUT && printed.length + size <= MAX_PRINTED) {
          printed += new TextDecoder().decode(bytes().slice(at, at + size));
        }
        if (descriptor === OUTPUT && !store(bytes().subarray(at, at + size))) return NO_SPACE;
        sum += size;
      }
      view().setUint32(written, sum, true);
      return SUCCESS;
    },
    proc_exit(status: number) {
      throw new ModuleExit(status);
    },
  };

  return {
    imports: { wasi_snapshot_preview1 },
    attach(given) {
      memory = given;
    },
    output: () => file.slice(0, length),
    printed: () => printed,
  };
}
