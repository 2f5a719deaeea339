import { open } from "node:fs/promises";
import { join } from "node:path";

/** Where a Postgres server's log ended when it was last stopped in order: its shutdown checkpoint. */
export interface ControlFile {
  timeline: number;
  lsn: string;
}

/** Byte places of the fields in global/pg_control (struct ControlFileData in Postgres's catalog/pg_control.h; the same since version 12). */
const STATE_AT = 16;
const CHECKPOINT_AT = 32;
const TIMELINE_AT = 48;
/** A primary that was stopped in order. */
const SHUT_DOWN = 1;

/**
 * Reads a data folder's control file, which is what is left to ask of a server that is down. Null unless it is a primary's that was
 * stopped in order: any other log goes on behind its last checkpoint.
 * @throws when there is none
 */
export async function readControlFile(dataDir: string): Promise<ControlFile | null> {
  const file = await open(join(dataDir, "global/pg_control"), "r");
  try {
    const bytes = Buffer.alloc(TIMELINE_AT + 4);
    await file.read(bytes, 0, bytes.length, 0);
    if (bytes.readUInt32LE(STATE_AT) !== SHUT_DOWN) return null;
    // The server writes it in the machine's own order, which is little-endian wherever this runs.
    const place = bytes.readBigUInt64LE(CHECKPOINT_AT);
    return { timeline: bytes.readUInt32LE(TIMELINE_AT), lsn: lsnOf(place) };
  } finally {
    await file.close();
  }
}

/** As Postgres writes it: two halves of 32 bits, hexadecimal. */
const lsnOf = (place: bigint): string =>
  `${(place >> 32n).toString(16)}/${(place & 0xffffffffn).toString(16)}`.toUpperCase();
