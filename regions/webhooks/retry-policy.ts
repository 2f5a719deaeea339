import type { PostOutcome } from "./post-webhook.ts";

/** How long an event is worth telling. */
export const GIVE_UP_AFTER_MS = 72 * 3_600_000;

const FIRST_PAUSE_MS = 5000;
const GROWTH = 5;
const MAX_PAUSE_MS = 6 * 3_600_000;
/** No endpoint puts us off for longer at once. */
const MAX_RETRY_AFTER_MS = 3_600_000;

export type Verdict =
  | { kind: "done" }
  /** It will not be taken as it is. `gone`: the endpoint wants nothing more, ever. */
  | { kind: "stop"; gone: boolean }
  /** `hold`: leave all of this target alone for so long, in ms. */
  | { kind: "again"; hold: number };

/** What an outcome means: 2xx is done, 4xx stops except 408 and 429, everything else is tried again. */
export function judge(outcome: PostOutcome): Verdict {
  if ("error" in outcome) return { kind: "again", hold: 0 };
  const { status, retryAfterMs } = outcome;
  if (status >= 200 && status < 300) return { kind: "done" };
  const mayWait = status === 408 || status === 429;
  if (status >= 400 && status < 500 && !mayWait) return { kind: "stop", gone: status === 410 };
  const heeded = mayWait || status === 503 ? (retryAfterMs ?? 0) : 0;
  return { kind: "again", hold: Math.min(heeded, MAX_RETRY_AFTER_MS) };
}

/**
 * The pause after the n-th try (from 1) in ms: 5 s, five times longer each time, six hours at most, spread by a fifth to either
 * side so that what failed together does not come back together.
 */
export function pauseAfter(tries: number, random: () => number = Math.random): number {
  const pause = Math.min(FIRST_PAUSE_MS * GROWTH ** (tries - 1), MAX_PAUSE_MS);
  return Math.round(pause * (0.8 + 0.4 * random()));
}
