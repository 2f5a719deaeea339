/**
 * A token bucket as the generic cell rate algorithm keeps it (ITU-T I.371): one number, the time at which the bucket will be
 * full again. `limit` tokens fit in, and as many come back, evenly, over `windowMs`; so no more than twice `limit` are taken
 * in any window, and no more than `limit` in each of many.
 */
export interface Quota {
  limit: number;
  windowMs: number;
}

/** When the bucket is full again, Unix ms; in the past for a full one. */
export type FullAt = number;

const usedMs = ({ windowMs }: Quota, fullAt: FullAt, now: number) =>
  Math.min(Math.max(fullAt - now, 0), windowMs);

/** Whole tokens that can be taken now. */
export function tokensLeft(quota: Quota, fullAt: FullAt, now: number): number {
  const free = 1 - usedMs(quota, fullAt, now) / quota.windowMs;
  // What rounding took from a whole token is given back.
  return Math.floor(free * quota.limit + 1e-6);
}

/** The bucket after `count` tokens were taken, or, when negative, put back. */
export function takeTokens(quota: Quota, fullAt: FullAt, now: number, count: number): FullAt {
  return now + usedMs(quota, fullAt, now) + (count * quota.windowMs) / quota.limit;
}

/** Milliseconds until one token can be taken; 0 when one can be now. */
export function waitForToken(quota: Quota, fullAt: FullAt, now: number): number {
  const perToken = quota.windowMs / quota.limit;
  return Math.max(0, usedMs(quota, fullAt, now) + perToken - quota.windowMs);
}
