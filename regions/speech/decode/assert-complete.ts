import { AudioError } from "./audio-error.ts";
import type { Container } from "./audio-info.ts";
import type { ByteSource } from "./byte-source.ts";

/** Headers of writers that forget the header itself promise this many bytes too much; no sound is missing then. */
const WAV_SLACK = 44;
/** Sizes from here on are placeholders of writers that streamed and could not go back. */
const WAV_UNKNOWN = 0x7fff_0000;
const MAX_STEPS = 10_000;
const OGG_TAIL = 65_536 + 307;

/**
 * Compares what a container's own structure promises with the bytes that are there,
 * for those that say so outside the audio stream (flac and mp3 say it inside: see decode-file.ts).
 * @throws {AudioError} `audio_truncated`
 */
export function assertComplete(source: ByteSource, container: Container): void {
  const missing = checks[container]?.(source);
  if (missing !== undefined) throw new AudioError("audio_truncated", missing);
}

const checks: Partial<Record<Container, (source: ByteSource) => string | undefined>> = {
  wav(source) {
    for (let at = 12, step = 0; at + 8 <= source.size && step < MAX_STEPS; step += 1) {
      const chunk = source.read(at, 8);
      const size = chunk.readUInt32LE(4);
      if (chunk.toString("latin1", 0, 4) === "data") {
        const end = at + 8 + size;
        return size < WAV_UNKNOWN && end - WAV_SLACK > source.size
          ? `The header promises ${size} bytes of sound and ${source.size - at - 8} are there.`
          : undefined;
      }
      at += 8 + size + (size % 2);
    }
    return "The file ends before its sound begins.";
  },

  ogg(source) {
    const tail = source.read(Math.max(0, source.size - OGG_TAIL), OGG_TAIL);
    const page = tail.lastIndexOf("OggS", undefined, "latin1");
    const segments = tail[page + 26];
    if (page < 0 || segments === undefined) return "The last page is not complete.";
    let end = page + 27 + segments;
    for (let i = 0; i < segments; i += 1) end += tail[page + 27 + i] ?? 0;
    if (end > tail.length) return "The last page is not complete.";
    return ((tail[page + 5] ?? 0) & 4) === 0
      ? "The page that ends the stream is missing."
      : undefined;
  },

  mp4(source) {
    let movie = false;
    for (let at = 0, step = 0; at + 8 <= source.size && step < MAX_STEPS; step += 1) {
      const box = source.read(at, 16);
      const type = box.toString("latin1", 4, 8);
      let size = box.readUInt32BE(0);
      if (size === 1 && box.length === 16) size = Number(box.readBigUInt64BE(8));
      if (size === 0) size = source.size - at;
      if (size < 8) break;
      if (type === "moov") movie = true;
      if (at + size > source.size) return `The box ${JSON.stringify(type)} is cut short.`;
      at += size;
    }
    return movie ? undefined : "The index (moov) is missing.";
  },

  webm(source) {
    const head = source.read(0, 4096);
    const ebml = readVint(head, 4);
    if (ebml?.value === undefined) return undefined;
    const segment = 4 + ebml.length + ebml.value;
    if (segment + 12 > head.length || head.readUInt32BE(segment) !== 0x18538067) return undefined;
    const size = readVint(head, segment + 4);
    // Recorders that stream leave the size open: then only the declared duration can tell.
    if (size?.value === undefined) return undefined;
    const end = segment + 4 + size.length + size.value;
    return end > source.size ? `The segment promises ${end - source.size} more bytes.` : undefined;
  },
};

/** An EBML variable-length integer (RFC 8794, section 4); no value when all its bits are ones, which means “unknown”. */
function readVint(
  bytes: Buffer,
  at: number,
): { length: number; value: number | undefined } | undefined {
  const first = bytes[at];
  if (first === undefined || first === 0) return undefined;
  const length = Math.clz32(first) - 23;
  if (at + length > bytes.length) return undefined;
  let value = first & (0xff >> length);
  let open = value === 0xff >> length;
  for (let i = 1; i < length; i += 1) {
    const byte = bytes[at + i] ?? 0;
    value = value * 256 + byte;
    open &&= byte === 0xff;
  }
  return { length, value: open ? undefined : value };
}
