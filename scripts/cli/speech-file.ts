import { open } from "node:fs/promises";
import type { SpeechFormat } from "../../shared/contracts/speech.ts";
import { createDecoder } from "../../regions/speech/decode/decoder.ts";

const WAV_HEADER = 44;
/** Bytes a second of the formats that are not compressed: 16 bits at 16 and 24 kHz. */
const PLAIN = { wav: 32_000, pcm: 48_000 };

/** Puts the lengths into the header of a wav that was streamed, and so begins without them. */
export async function finishWav(path: string): Promise<void> {
  const file = await open(path, "r+");
  try {
    const { size } = await file.stat();
    const lengths = Buffer.alloc(8);
    lengths.writeUInt32LE(size - 8, 0);
    lengths.writeUInt32LE(size - WAV_HEADER, 4);
    await file.write(lengths, 0, 4, 4);
    await file.write(lengths, 4, 4, 40);
  } finally {
    await file.close();
  }
}

/** How long speech lasts; undefined when only its bytes are known and they do not tell. */
export async function speechSeconds(
  format: SpeechFormat,
  bytes: number,
  path: string | undefined,
): Promise<number | undefined> {
  if (format === "pcm") return bytes / PLAIN.pcm;
  if (format === "wav") return (bytes - WAV_HEADER) / PLAIN.wav;
  if (path === undefined) return undefined;
  const decoder = createDecoder();
  try {
    let seconds: number | undefined;
    const blocks = decoder.decode(path, { onInfo: (info) => (seconds = info.duration_s) });
    for await (const _ of blocks);
    return seconds;
  } finally {
    await decoder.close();
  }
}
