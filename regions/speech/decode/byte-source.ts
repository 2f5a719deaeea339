import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { AudioError } from "./audio-error.ts";
import { DecoderError } from "./decoder-error.ts";

/** A regular local file, opened once: what is checked is what is decoded. */
export interface ByteSource {
  fd: number;
  size: number;
  /** Up to `length` bytes from `offset`; fewer at the end of the file. */
  read(offset: number, length: number): Buffer;
  close(): void;
}

/**
 * @throws {DecoderError} `file_unreadable` when the path cannot be opened
 * @throws {AudioError} `audio_unsupported` when it is no regular file, `audio_empty` when it holds no byte
 */
export function openByteSource(path: string): ByteSource {
  let fd: number;
  try {
    // O_NONBLOCK: opening a named pipe would otherwise wait for its writer for ever.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    if (reason === "ELOOP") throw new AudioError("audio_unsupported", "Not a regular file.");
    throw new DecoderError("file_unreadable", `The file could not be opened (${reason}).`);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new AudioError("audio_unsupported", "Not a regular file.");
    if (stat.size === 0) throw new AudioError("audio_empty", "The file holds no bytes.");
    return {
      fd,
      size: stat.size,
      read(offset, length) {
        const wanted = Math.max(0, Math.min(length, stat.size - offset));
        const buffer = Buffer.alloc(wanted);
        return buffer.subarray(0, wanted === 0 ? 0 : readSync(fd, buffer, 0, wanted, offset));
      },
      close: () => closeSync(fd),
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
