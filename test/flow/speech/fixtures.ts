import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { wav } from "../../../scripts/fixtures/wav.ts";
import type { AudioBlock, DecodeOptions, Decoder } from "../../../regions/speech/decode/decoder.ts";
import type { AudioInfo } from "../../../regions/speech/decode/audio-info.ts";

export const samplePath = fileURLToPath(
  new URL("../../../samples/hello-antiphon.wav", import.meta.url),
);

export function fixturePath(name: string): string {
  return fileURLToPath(new URL(`../../fixtures/audio/${name}`, import.meta.url));
}

/** A prompt that was read aloud, by its name without `.wav`. */
export function promptPath(name: string): string {
  return fileURLToPath(new URL(`../../fixtures/egemaps/${name}.wav`, import.meta.url));
}

/** Samples as a decoder hands them out: blocks of a second, in shared memory. */
export function blocksOf(samples: Float32Array): AudioBlock[] {
  return Array.from({ length: Math.ceil(samples.length / 16_000) }, (_, i) => {
    const part = samples.subarray(i * 16_000, (i + 1) * 16_000);
    const block = new Float32Array(new SharedArrayBuffer(part.length * 4));
    block.set(part);
    return block;
  });
}

/** A folder that `remove` deletes. */
export async function makeFolder() {
  const folder = await mkdtemp(join(tmpdir(), "antiphon-speech-"));
  return {
    async write(name: string, content: Uint8Array | string): Promise<string> {
      const path = join(folder, name);
      await writeFile(path, content);
      return path;
    },
    /** A wav of digital silence, 16-bit mono at 16 kHz, that takes next to no room on disk. */
    async silence(name: string, seconds: number): Promise<string> {
      const path = join(folder, name);
      const bytes = seconds * 32_000;
      const header = wav(Buffer.alloc(0), { rate: 16_000, channels: 1, bits: 16 });
      header.writeUInt32LE(36 + bytes, 4);
      header.writeUInt32LE(bytes, 40);
      const file = await open(path, "w");
      try {
        await file.write(header);
        await file.truncate(44 + bytes);
      } finally {
        await file.close();
      }
      return path;
    },
    path: (name: string) => join(folder, name),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Decodes a whole file. */
export async function decodeAll(decoder: Decoder, path: string, options: DecodeOptions = {}) {
  const blocks: Float32Array[] = [];
  let info: AudioInfo | undefined;
  const onInfo = (complete: AudioInfo) => {
    info = complete;
  };
  for await (const block of decoder.decode(path, { ...options, onInfo })) blocks.push(block);
  if (info === undefined) throw new Error("The decoder gave no info.");
  const samples = new Float32Array(blocks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const block of blocks) {
    samples.set(block, at);
    at += block.length;
  }
  return { samples, info, blocks: blocks.length };
}

/** What a promise fails with; that it does not is a failure of the test. */
export async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("It did not fail.");
}
