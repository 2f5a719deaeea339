import type { Container } from "./audio-info.ts";
import type { ByteSource } from "./byte-source.ts";
import { findMpegFrames } from "./mpeg-frames.ts";

const WINDOW = 16_384;
const mp4Boxes = new Set(["ftyp", "moov", "mdat", "free", "skip", "wide", "pnot"]);

/**
 * Recognises a container by its bytes alone, never by its name.
 * The demuxer is then chosen by this answer, so FFmpeg never guesses and can never pick a playlist or a session description.
 */
export function sniffContainer(source: ByteSource): Container | undefined {
  let start = 0;
  let head = source.read(0, WINDOW);
  // ID3v2 tags stand before mp3, and at times before aac and flac; they may hold megabytes of cover art.
  for (
    let tags = 0;
    tags < 4 && head.length >= 10 && head.toString("latin1", 0, 3) === "ID3";
    tags += 1
  ) {
    const size =
      ((head[6] ?? 0) & 127) * 2 ** 21 +
      ((head[7] ?? 0) & 127) * 2 ** 14 +
      ((head[8] ?? 0) & 127) * 2 ** 7 +
      ((head[9] ?? 0) & 127);
    start += 10 + size;
    head = source.read(start, WINDOW);
  }
  const text = (from: number, to: number) => head.toString("latin1", from, to);
  const first = text(0, 4);
  if (first === "fLaC") return "flac";
  if (start === 0) {
    if ((first === "RIFF" || first === "RF64" || first === "BW64") && text(8, 12) === "WAVE")
      return "wav";
    if (first === "riff" && text(24, 28) === "wave") return "w64";
    if (first === "OggS") return "ogg";
    if (head.length >= 4 && head.readUInt32BE(0) === 0x1a45dfa3) return "webm";
    if (first === "FORM" && /^AIF[FC]$/.test(text(8, 12))) return "aiff";
    if (first === "caff") return "caf";
    if (first === ".snd") return "au";
    if (text(0, 5) === "#!AMR") return "amr";
    if (head.length >= 8 && mp4Boxes.has(text(4, 8))) return "mp4";
  }
  return findMpegFrames(head, start + head.length >= source.size);
}
