import type { Readable } from "node:stream";
import { ApiError } from "../../shared/errors/problem.ts";
import type { Logger } from "../ops/logger.ts";
import { DURATION, MAX_KEPT_SPEECH_BYTES } from "../store/kept-speech.ts";
import type { ObjectStore } from "../store/object-store-port.ts";

export interface SpeechCacheParts {
  objects: Pick<ObjectStore, "get" | "put">;
  logger: Logger;
  /** Audio longer than this is not kept. */
  maxEntryBytes?: number;
  /** Held in memory at once by all that is being spoken; what does not fit is not kept. */
  maxHeldBytes?: number;
}

export interface CachedSpeech {
  bytes: number;
  body: Readable;
}

/** Audio on its way to a client, kept aside to be stored once it is whole. */
export interface SpeechRecord {
  add(bytes: Uint8Array): void;
  /** Stores what was added, of this length in seconds; a store that is away is only logged. */
  commit(durationS: number): Promise<void>;
  /** Forgets it; harmless after `commit`. */
  drop(): void;
}

/** Finished speech by its content, in this region's bucket. Speech goes on without it: a store that is away is a miss. */
export interface SpeechCache {
  find(key: string, signal: AbortSignal): Promise<CachedSpeech | undefined>;
  record(key: string, contentType: string): SpeechRecord;
}

const MEBIBYTE = 2 ** 20;

export function createSpeechCache(parts: SpeechCacheParts): SpeechCache {
  const {
    objects,
    logger,
    maxEntryBytes = MAX_KEPT_SPEECH_BYTES,
    maxHeldBytes = 64 * MEBIBYTE,
  } = parts;
  let held = 0;

  return {
    async find(key, signal) {
      try {
        const found = await objects.get(key, { signal });
        return found && { bytes: found.bytes, body: found.body };
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        logger.warn({ err: error }, "the speech cache cannot be read");
        return undefined;
      }
    },

    record(key, contentType) {
      let chunks: Uint8Array[] | undefined = [];
      let size = 0;

      function drop(): void {
        if (chunks !== undefined) held -= size;
        chunks = undefined;
      }

      return {
        drop,
        add(bytes) {
          if (chunks === undefined) return;
          if (size + bytes.length > maxEntryBytes || held + bytes.length > maxHeldBytes) {
            drop();
            return;
          }
          chunks.push(bytes);
          size += bytes.length;
          held += bytes.length;
        },
        async commit(durationS) {
          if (chunks === undefined) return;
          try {
            const metadata = { [DURATION]: String(durationS) };
            await objects.put(key, Buffer.concat(chunks), { contentType, metadata });
          } catch (error) {
            logger.warn({ err: error }, "speech could not be kept");
          } finally {
            drop();
          }
        },
      };
    },
  };
}
