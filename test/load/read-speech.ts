import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** The prompts one after the other, 16-bit mono at 16 kHz. */
export function readSpeech(): Float32Array {
  const folder = join(import.meta.dirname, "../fixtures/egemaps");
  const parts = readdirSync(folder)
    .filter((name) => name.endsWith(".wav"))
    .toSorted()
    .map((name) => {
      const file = readFileSync(join(folder, name));
      return file.subarray(file.indexOf("data", 12, "latin1") + 8);
    });
  const bytes = Buffer.concat(parts);
  return Float32Array.from(
    { length: bytes.length / 2 },
    (_, i) => bytes.readInt16LE(2 * i) / 32_768,
  );
}
