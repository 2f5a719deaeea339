import type { TenantLimits } from "../../shared/contracts/tenant-settings.ts";
import {
  takeTokens,
  tokensLeft,
  waitForToken,
  type Quota,
} from "../../shared/policies/token-bucket.ts";

/** After so long without a word an isolate's requests in flight are taken to be over. */
const SLOTS_KEPT_MS = 30_000;

export type LeaseRequest = {
  /** Who asks; its requests in flight are counted under this name. */
  isolate: string;
  limits: TenantLimits;
  /** How many requests it would let in without asking again. */
  tokens: number;
  /** Tokens of an earlier lease that it did not use. */
  unused: number;
  /** How many requests it would have in flight at once. */
  slots: number;
};

export type Lease = {
  tokens: number;
  slots: number;
  /** When each bucket is full again, Unix ms. */
  burstFullAt: number;
  sustainedFullAt: number;
  /** With no token: how long until there is one. */
  retryMs: number;
};

export const quotasOf = ({
  per_second,
  per_minute,
}: TenantLimits): Record<"burst" | "sustained", Quota> => ({
  burst: { limit: per_second, windowMs: 1_000 },
  sustained: { limit: per_minute, windowMs: 60_000 },
});

/** One tenant's buckets, and what each isolate has in flight. Never grants more than the limits allow, whoever asks. */
export function createLimitState(now: () => number) {
  let burstFullAt = 0;
  let sustainedFullAt = 0;
  const inFlight = new Map<string, { slots: number; until: number }>();

  return function lease(request: LeaseRequest): Lease {
    const at = now();
    const { burst, sustained } = quotasOf(request.limits);
    const free = () =>
      Math.min(tokensLeft(burst, burstFullAt, at), tokensLeft(sustained, sustainedFullAt, at));
    const take = (count: number) => {
      burstFullAt = takeTokens(burst, burstFullAt, at, count);
      sustainedFullAt = takeTokens(sustained, sustainedFullAt, at, count);
    };
    take(-request.unused);
    const tokens = Math.min(request.tokens, free());
    take(tokens);

    let others = 0;
    for (const [isolate, held] of inFlight) {
      if (held.until <= at) inFlight.delete(isolate);
      else if (isolate !== request.isolate) others += held.slots;
    }
    const slots = Math.max(0, Math.min(request.slots, request.limits.in_flight - others));
    inFlight.set(request.isolate, { slots, until: at + SLOTS_KEPT_MS });
    const retryMs = Math.max(
      waitForToken(burst, burstFullAt, at),
      waitForToken(sustained, sustainedFullAt, at),
    );
    return { tokens, slots, burstFullAt, sustainedFullAt, retryMs };
  };
}
