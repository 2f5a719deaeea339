import type { NonceGuard } from "./link-signature.ts";

/**
 * Nonces seen by this process, bounded: when full, the oldest go first. One process's memory is enough
 * where a replay to its neighbour does no harm (region calls are idempotent by job and dispatch).
 */
export function createNonceMemory(capacity = 100_000, now: () => number = Date.now): NonceGuard {
  const seen = new Map<string, number>();
  return (nonce, expiresAtMs) => {
    if (seen.has(nonce)) return false;
    for (const [old, expiry] of seen) {
      if (expiry > now() && seen.size < capacity) break;
      seen.delete(old);
    }
    seen.set(nonce, expiresAtMs);
    return true;
  };
}
