import type { StoredObject } from "./object-store-port.ts";

/** Longer audio is made anew each time. */
export const MAX_KEPT_SPEECH_BYTES = 16 * 2 ** 20;

/** Metadata of kept speech: its length in seconds, which compressed audio does not tell by its bytes. */
export const DURATION = "duration-s";

/** Seconds of speech that was kept; undefined where it does not say. */
export function keptDuration({ metadata }: Pick<StoredObject, "metadata">): number | undefined {
  const seconds = Number(metadata[DURATION] ?? Number.NaN);
  return Number.isFinite(seconds) && seconds > 0 ? seconds : undefined;
}
