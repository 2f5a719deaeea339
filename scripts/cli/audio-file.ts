import { createHash } from "node:crypto";
import { createReadStream, openAsBlob } from "node:fs";
import { extname } from "node:path";
import { pipeline } from "node:stream/promises";
import { UsageError } from "./connection.ts";
import { findFile } from "./find-file.ts";

const CONTENT_TYPES: Record<string, string> = {
  ".wav": "audio/wav",
  ".flac": "audio/flac",
  ".mp3": "audio/mpeg",
  ".ogg": "audio/ogg",
  ".oga": "audio/ogg",
  ".opus": "audio/ogg",
  ".m4a": "audio/mp4",
  ".mp4": "audio/mp4",
  ".webm": "audio/webm",
};

export interface AudioFile {
  contentType: string;
  bytes: number;
  /** Lower-case hex. */
  sha256: string;
  /** The file itself, read as it is sent: never whole in memory. */
  blob: Blob;
}

/** Reads what an upload must declare of a file. @throws UsageError when there is no such file */
export async function openAudioFile(path: string): Promise<AudioFile> {
  const { size } = await findFile(path);
  if (size === 0) throw new UsageError(`${path} is empty`);
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return {
    contentType: CONTENT_TYPES[extname(path).toLowerCase()] ?? "application/octet-stream",
    bytes: size,
    sha256: hash.digest("hex"),
    blob: await openAsBlob(path),
  };
}
