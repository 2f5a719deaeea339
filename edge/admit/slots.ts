import { ApiError } from "../../shared/errors/problem.ts";

export interface SlotLimits {
  /** Of one tenant, and of all, in this isolate. */
  perTenant: number;
  total: number;
  /** What a client that was refused is told to wait. */
  retryAfterS?: number;
  /** What a tenant is told that has its share. */
  refusal?: string;
}

/** Takes a slot for a tenant until the returned function is called. @throws ApiError too_many_in_flight | system_busy */
export type TakeSlot = (tenantId: string) => () => void;

/** Bounds what an isolate holds open for its clients at once. */
export function createSlots({
  perTenant,
  total,
  retryAfterS = 5,
  refusal = `At most ${perTenant} may be open at once.`,
}: SlotLimits): TakeSlot {
  const taken = new Map<string, number>();
  let all = 0;

  return (tenantId) => {
    const own = taken.get(tenantId) ?? 0;
    const headers = { "retry-after": String(retryAfterS) };
    if (own >= perTenant) {
      throw new ApiError("too_many_in_flight", refusal, { headers });
    }
    if (all >= total) throw new ApiError("system_busy", undefined, { headers });
    taken.set(tenantId, own + 1);
    all += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      all -= 1;
      const left = taken.get(tenantId)! - 1;
      if (left === 0) taken.delete(tenantId);
      else taken.set(tenantId, left);
    };
  };
}
