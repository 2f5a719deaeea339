import type { EdgeContext } from "../context.ts";
import { createSlots, type SlotLimits } from "./slots.ts";

/** Bodies that say that they are no longer are bounded well enough by a tenant's requests in flight. */
const FREE_BYTES = 1024 * 1024;

/**
 * Runs what reads a body of up to `maxBytes` and holds it in memory, which it may as long as it runs; it is told how far to read.
 * @throws ApiError too_many_in_flight | system_busy
 */
export type HoldBody = <T>(
  c: EdgeContext,
  maxBytes: number,
  use: (limit: number) => Promise<T>,
) => Promise<T>;

/** Bounds the memory that large bodies take: an isolate has 128 MB for all of its requests, and holds such a body in several copies. */
export function createHoldBody(limits: SlotLimits = { perTenant: 2, total: 3 }): HoldBody {
  const takeSlot = createSlots({
    retryAfterS: 1,
    refusal: `At most ${limits.perTenant} bodies of more than 1 MiB may be taken in at once.`,
    ...limits,
  });

  return async (c, maxBytes, use) => {
    const declared = c.req.header("content-length");
    if (declared !== undefined && Number(declared) <= FREE_BYTES) return use(FREE_BYTES);
    const leave = takeSlot(c.get("caller").key.tenant_id);
    try {
      return await use(maxBytes);
    } finally {
      leave();
    }
  };
}
