import { DurableObject } from "cloudflare:workers";
import type { EdgeBindings } from "../env.ts";
import { createLimitState, type Lease, type LeaseRequest } from "./limit-state.ts";

/**
 * One tenant's limits for the whole planet. It lives in memory alone: an object that was put away, after seconds without a
 * request, begins with full buckets, which is at most one quota more than the limit.
 */
export class TenantLimits extends DurableObject<EdgeBindings> {
  /** Held by tests; the wall clock otherwise. */
  now: () => number = () => Date.now();
  readonly #lease = createLimitState(() => this.now());

  async lease(request: LeaseRequest): Promise<Lease> {
    return this.#lease(request);
  }
}
