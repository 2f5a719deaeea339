import { open, rm } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { SAMPLE_RATE } from "../decode/sample-format.ts";
import type { SpooledAudio } from "./transcription-engine.ts";

/** Samples over which loudness is measured: 20 ms. */
const FRAME = 320;

/** A recording on its way to disk; one call at a time. */
export interface Spool {
  /** Takes the next samples: 16 kHz mono, clipped at full scale. Read before it returns, so the block may be used again. */
  push(block: Float32Array): Promise<void>;
  /** The file, once all of it is there. */
  finish(): Promise<SpooledAudio>;
  /** The middle of the quietest 20 ms between two times, seconds. */
  quietest(fromS: number, toS: number): number;
  /** Removes the file. */
  drop(): Promise<void>;
}

/** Writes a recording to a file in `folder`, and keeps how loud it is: 200 bytes for each second. */
export async function openSpool(folder: string): Promise<Spool> {
  const name = randomUUID();
  const path = join(folder, `${name}.pcm`);
  const file = await open(path, "wx", 0o600);
  let bytes = Buffer.alloc(0);
  let samples = 0;
  let loudness = new Float32Array(4096);

  function measure(block: Float32Array): void {
    const frames = Math.ceil((samples + block.length) / FRAME);
    if (frames > loudness.length) {
      const larger = new Float32Array(Math.max(frames, loudness.length * 2));
      larger.set(loudness);
      loudness = larger;
    }
    for (let i = 0; i < block.length; i += 1) {
      loudness[Math.floor((samples + i) / FRAME)]! += block[i]! * block[i]!;
    }
  }

  return {
    async push(block) {
      if (bytes.length < block.length * 2) bytes = Buffer.alloc(block.length * 2);
      for (let i = 0; i < block.length; i += 1) {
        const sample = Math.max(-1, Math.min(1, block[i]!));
        bytes.writeInt16LE(Math.round(sample * 32767), i * 2);
      }
      measure(block);
      samples += block.length;
      await file.writeFile(bytes.subarray(0, block.length * 2));
    },
    async finish() {
      await file.close();
      return { folder, name, samples };
    },
    quietest(fromS, toS) {
      const from = Math.ceil((fromS * SAMPLE_RATE) / FRAME);
      const to = Math.min(Math.floor((toS * SAMPLE_RATE) / FRAME), Math.ceil(samples / FRAME));
      let best = from;
      for (let i = from; i < to; i += 1) if (loudness[i]! < loudness[best]!) best = i;
      return ((best + 0.5) * FRAME) / SAMPLE_RATE;
    },
    async drop() {
      await file.close().catch(() => undefined);
      await rm(path, { force: true });
    },
  };
}
