import { AudioError } from "./audio-error.ts";
import type { Container } from "./audio-info.ts";

/** Content types under which each container is commonly sent, aliases and old spellings included. */
const typesOf: Record<Container, readonly string[]> = {
  wav: ["audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave", "audio/x-pn-wav"],
  w64: ["audio/wav", "audio/x-wav", "audio/wave", "audio/x-w64", "audio/w64"],
  flac: ["audio/flac", "audio/x-flac"],
  mp3: [
    "audio/mpeg",
    "audio/mp3",
    "audio/x-mp3",
    "audio/x-mpeg",
    "audio/mpeg3",
    "audio/x-mpeg-3",
    "audio/mpga",
  ],
  aac: ["audio/aac", "audio/x-aac", "audio/aacp", "audio/x-hx-aac-adts"],
  ogg: [
    "audio/ogg",
    "application/ogg",
    "audio/x-ogg",
    "video/ogg",
    "audio/opus",
    "audio/vorbis",
    "audio/speex",
  ],
  mp4: [
    "audio/mp4",
    "audio/m4a",
    "audio/x-m4a",
    "audio/mp4a-latm",
    "audio/aac",
    "video/mp4",
    "video/x-m4v",
    "video/quicktime",
    "application/mp4",
    "audio/3gpp",
    "video/3gpp",
    "audio/3gpp2",
    "video/3gpp2",
  ],
  webm: ["audio/webm", "video/webm", "audio/x-matroska", "video/x-matroska", "audio/opus"],
  amr: ["audio/amr", "audio/amr-wb", "audio/x-amr", "audio/3gpp"],
  aiff: ["audio/aiff", "audio/x-aiff"],
  caf: ["audio/x-caf", "audio/caf"],
  au: ["audio/basic", "audio/au", "audio/x-au"],
};

/** Codecs that some declared types promise beyond their container. */
const codecOf: Record<string, RegExp> = {
  "audio/opus": /opus/,
  "audio/vorbis": /vorbis/,
  "audio/speex": /speex/,
};

const genericTypes = new Set([
  "",
  "application/octet-stream",
  "binary/octet-stream",
  "audio/*",
  "audio/unknown",
]);

/**
 * Compares a declared content type with what the bytes are.
 * An absent or generic type promises nothing and always passes.
 * @throws {AudioError} `audio_mislabelled`
 */
export function checkDeclaredType(
  declared: string | undefined,
  header: { container: string; codec: string },
): void {
  if (isDeclaredType(declared, header)) return;
  throw new AudioError(
    "audio_mislabelled",
    `The content type says ${typeOf(declared).slice(0, 80)}, but the file is ${header.container} with ${header.codec}.`,
  );
}

/** Whether what the bytes are keeps what the declared content type promises; see {@link checkDeclaredType}. */
export function isDeclaredType(
  declared: string | undefined,
  header: { container: string; codec: string },
): boolean {
  const type = typeOf(declared);
  if (genericTypes.has(type)) return true;
  const codec = codecOf[type];
  const types: readonly string[] = typesOf[header.container as Container] ?? [];
  return types.includes(type) && (codec === undefined || codec.test(header.codec));
}

const typeOf = (declared: string | undefined): string =>
  declared?.split(";", 1)[0]?.trim().toLowerCase() ?? "";
