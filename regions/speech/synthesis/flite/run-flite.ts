import type { FliteRequest } from "./protocol.ts";
import { createWasiHost, ModuleExit, type WasiHost } from "./wasi-host.ts";
import { type WasmMemory, type WasmModule, wasm } from "./web-assembly.ts";

/** Hz; all voices that are used here have it. */
export const FLITE_RATE = 16_000;
const OUTPUT = "speech.wav";
const HEADER_BYTES = 44;
/** Ten minutes: a piece of text at a quarter of the pace has two at most. */
const MAX_BYTES = HEADER_BYTES + 600 * FLITE_RATE * 2;

/** Our names of voices → flite's. Its plain `kal` has 8 kHz. */
const NAMES: Record<string, string> = { rms: "rms", slt: "slt", awb: "awb", kal: "kal16" };
export const FLITE_VOICES = Object.keys(NAMES);

/**
 * One run of flite's command line, in an instance of its own, so that nothing of one text reaches the next.
 * Blocks its thread.
 * @returns mono samples at `FLITE_RATE`
 * @throws when the module does not end with success, or writes no such wav
 */
export function runFlite(
  module: WasmModule,
  { text, voice, speed }: FliteRequest & { type: "speak" },
): Int16Array<ArrayBuffer> {
  const name = NAMES[voice];
  if (name === undefined) throw new Error(`flite has no voice ${voice}`);
  const stretch = `duration_stretch=${(1 / speed).toFixed(6)}`;
  const args = ["flite", "-voice", name, "--setf", stretch, "-t", text, "-o", `/${OUTPUT}`];
  const wav = runMain(module, createWasiHost(args, OUTPUT, MAX_BYTES)).output();
  const header = new DataView(wav.buffer, 0, Math.min(HEADER_BYTES, wav.length));
  if (wav.length < HEADER_BYTES || header.getUint32(24, true) !== FLITE_RATE) {
    throw new Error("flite wrote no sound");
  }
  return new Int16Array(wav.buffer.slice(HEADER_BYTES, wav.length - (wav.length % 2)));
}

/**
 * Has flite's lexicon, rules and tagger say how a text is pronounced, in American English.
 * @returns see `FliteResult`
 */
export function printPhones(module: WasmModule, text: string): string {
  // It cannot be kept from making sound too: the voice and the pace that are made soonest, into nothing.
  const quick = ["-voice", "kal16", "--setf", "duration_stretch=0.1"];
  const args = ["flite", ...quick, "-psstress", "-t", text, "-o", "none"];
  return runMain(module, createWasiHost(args, OUTPUT, MAX_BYTES)).printed();
}

/** One run of the module's `main`, in an instance of its own. */
function runMain(module: WasmModule, host: WasiHost): WasiHost {
  const { exports } = new wasm.Instance(module, host.imports);
  host.attach(exports["memory"] as WasmMemory);
  try {
    (exports["_start"] as () => void)();
  } catch (error) {
    if (!(error instanceof ModuleExit) || error.status !== 0) throw error;
  }
  return host;
}
