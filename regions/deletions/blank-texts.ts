import { buffer } from "node:stream/consumers";
import type { ObjectStore } from "../store/object-store-port.ts";

/** Bytes of an object. */
interface ByteRange {
  offset: number;
  bytes: number;
}

/** A whole batch's texts are a few megabytes; what is larger is none of them. */
const MAX_BYTES = 32 * 2 ** 20;
const BLANK = 0x20;

/** Whoever comes between has blanked something else; after so many the order is carried out again later. */
const MAX_TRIES = 20;

/**
 * Takes some texts out of an object that holds others' too: their bytes become spaces, so that the others' ranges stay true. It is written
 * only over what was read, so that two at once do not undo each other. Versions that still had them go, and the whole object once nothing
 * is left in it. Safe to repeat.
 */
export function createBlankTexts(objects: Pick<ObjectStore, "get" | "replace" | "eraseVersions">) {
  async function blank(key: string, texts: readonly ByteRange[], signal: AbortSignal) {
    const found = await objects.get(key, { signal });
    if (!found) return 0;
    if (found.bytes > MAX_BYTES || found.etag === undefined) {
      found.body.destroy();
      throw new RangeError(`${key} is larger than a batch's texts can be, or has no tag`);
    }
    const content = await buffer(found.body);
    let blanked = 0;
    for (const { offset, bytes } of texts) {
      const text = content.subarray(offset, offset + bytes);
      if (text.every((byte) => byte === BLANK)) continue;
      text.fill(BLANK);
      blanked++;
    }
    if (content.every((byte) => byte === BLANK)) {
      await objects.eraseVersions(key, { signal });
      return blanked;
    }
    if (blanked > 0) {
      const contentType = found.contentType ?? "text/plain; charset=utf-8";
      const options = { contentType, ifMatch: found.etag, signal };
      if (!(await objects.replace(key, content, options))) return undefined;
    }
    // Also when nothing was left to blank: whoever did may have died before this.
    await objects.eraseVersions(key, { keepNewest: true, signal });
    return blanked;
  }

  /** Settles to how many of the texts were there. */
  return async (key: string, texts: readonly ByteRange[], signal: AbortSignal): Promise<number> => {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const blanked = await blank(key, texts, signal);
      if (blanked !== undefined) return blanked;
    }
    throw new Error(`${key} was written over by others each time`);
  };
}
