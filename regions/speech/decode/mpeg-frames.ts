import type { Container } from "./audio-info.ts";

const bitrates: Record<string, readonly number[]> = {
  "1-1": [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
  "1-2": [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
  "1-3": [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  "2-1": [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
  "2-2": [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
};
const rates = [44_100, 48_000, 32_000];
const FRAMES_IN_A_ROW = 3;

/**
 * Finds MPEG audio (layers I-III, ISO 11172-3 / 13818-3) or ADTS AAC (ISO 13818-7) by a chain of frame headers,
 * each as long as it says; a single sync word occurs by chance in any data.
 * `whole` tells that `bytes` reaches the end of the file, where the chain may be shorter.
 */
export function findMpegFrames(bytes: Buffer, whole: boolean): Container | undefined {
  for (let start = 0; start + 7 <= bytes.length; start += 1) {
    if (bytes[start] !== 0xff) continue;
    for (const [container, lengthAt] of [
      ["mp3", mpegLength],
      ["aac", adtsLength],
    ] as const) {
      if (isChain(bytes, start, whole, lengthAt)) return container;
    }
  }
  return undefined;
}

type LengthAt = (bytes: Buffer, at: number) => number | undefined;

function isChain(bytes: Buffer, start: number, whole: boolean, lengthAt: LengthAt): boolean {
  let at = start;
  for (let frame = 0; frame < FRAMES_IN_A_ROW; frame += 1) {
    if (at + 7 > bytes.length) return frame >= 1 && (whole ? start === 0 : frame >= 2);
    const length = lengthAt(bytes, at);
    if (length === undefined) return false;
    at += length;
  }
  return true;
}

function mpegLength(bytes: Buffer, at: number): number | undefined {
  const head = bytes.readUInt32BE(at);
  if (head >>> 21 !== 0x7ff) return undefined;
  const version = (head >>> 19) & 3;
  const layer = 4 - ((head >>> 17) & 3);
  const bitrateIndex = (head >>> 12) & 15;
  const rateIndex = (head >>> 10) & 3;
  if (version === 1 || layer === 4 || rateIndex === 3 || bitrateIndex === 0) return undefined;
  const generation = version === 3 ? 1 : 2;
  const table = bitrates[`${generation}-${generation === 2 && layer === 3 ? 2 : layer}`];
  const kilobits = table?.[bitrateIndex - 1];
  const rate = (rates[rateIndex] ?? 0) / (version === 3 ? 1 : version === 2 ? 2 : 4);
  if (kilobits === undefined) return undefined;
  const padding = (head >>> 9) & 1;
  if (layer === 1) return (Math.floor((12_000 * kilobits) / rate) + padding) * 4;
  const samples = layer === 3 && generation === 2 ? 72_000 : 144_000;
  return Math.floor((samples * kilobits) / rate) + padding;
}

function adtsLength(bytes: Buffer, at: number): number | undefined {
  if (((bytes[at + 1] ?? 0) & 0xf6) !== 0xf0) return undefined;
  if ((((bytes[at + 2] ?? 0) >>> 2) & 15) > 12) return undefined;
  const length = ((bytes.readUInt32BE(at + 3) >>> 13) & 0x1fff) as number;
  return length > 7 ? length : undefined;
}
