import type { KeyRecord } from "../../shared/contracts/api-key.ts";
import type { Residency } from "../../shared/contracts/regions.ts";
import type { TenantLimits as Limits } from "../../shared/contracts/tenant-settings.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { tokensLeft } from "../../shared/policies/token-bucket.ts";
import { createCallObject, type Placement } from "../ledger/placement.ts";
import { describeError, log } from "../ops/log.ts";
import type { Metrics } from "../ops/metrics.ts";
import { createLimitState, quotasOf, type Lease, type LeaseRequest } from "./limit-state.ts";
import type { TenantLimits } from "./tenant-limits.ts";
import { withTimeout } from "./with-timeout.ts";

/** Tokens that were not used by then go back. */
const LEASE_LIFE_MS = 1_000;
/** No lease is larger than this part of what may come at once, so that no isolate starves the others. */
const LARGEST_SHARE = 0.1;
const LARGEST_LEASE = 100;
/** Shorter than any client notices; after that this isolate counts by itself. */
const ASK_TIMEOUT_MS = 500;
const MAX_TENANTS = 10_000;

export type LeaseSource = (
  tenantId: string,
  residency: Residency,
  request: LeaseRequest,
) => Promise<Lease>;

/** A request that was let in. */
export interface Pass {
  /** `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers). */
  headers: Record<string, string>;
  /** The request has its answer. */
  leave(): void;
}

export interface TenantGate {
  /**
   * Lets a tenant's request in; `later` keeps work going that no answer waits for.
   * @throws ApiError rate_limited | too_many_in_flight
   */
  enter(
    key: Pick<KeyRecord, "tenant_id" | "residency" | "limits">,
    later: (work: Promise<unknown>) => void,
  ): Promise<Pass>;
}

interface Held {
  tokens: number;
  tokensUntil: number;
  unused: number;
  /** How many requests may be in flight here, as of the question numbered `slotsOf`. */
  slots: number;
  slotsOf: number;
  questions: number;
  active: number;
  /** How many tokens are asked for next: twice as many when a lease was used up, half when it was not. */
  size: number;
  burstFullAt: number;
  sustainedFullAt: number;
  refusedUntil: number;
  isAsking: boolean;
  alone: ((request: LeaseRequest) => Lease) | undefined;
}

export interface TenantGateParts {
  source: LeaseSource;
  defaults: Limits;
  metrics?: Metrics;
  now?: () => number;
}

/** The TenantLimits object of each tenant. */
export function createLeaseSource(
  namespace: DurableObjectNamespace<TenantLimits>,
  placement: Placement,
): LeaseSource {
  const callObject = createCallObject(namespace, placement);
  return (tenantId, residency, request) =>
    callObject(tenantId, residency, (object) => object.lease(request));
}

/**
 * Limits by tenant, without a call to the tenant's object for each request: this isolate leases tokens and uses them up.
 *
 * What a lease holds is already taken from the buckets, so isolates together never let in more than the limits say. The
 * error is on the other side: a tenant may be refused while tokens lie unused in other isolates, each at most a tenth of
 * what may come at once, for at most a second. While the object does not answer, each isolate counts by itself, and
 * a tenant may have its limit in each: limits guard our capacity, and are no reason to turn everyone away.
 * Requests in flight are counted until their answer begins; those of an isolate that asked for nothing in 30 s, no longer.
 */
export function createTenantGate({
  source,
  defaults,
  metrics,
  now = Date.now,
}: TenantGateParts): TenantGate {
  const tenants = new Map<string, Held>();
  let isolate: string | undefined;

  function heldOf(tenantId: string): Held {
    let held = tenants.get(tenantId);
    if (held) return held;
    held = {
      tokens: 0,
      tokensUntil: 0,
      unused: 0,
      slots: 0,
      slotsOf: 0,
      questions: 0,
      active: 0,
      size: 1,
      burstFullAt: 0,
      sustainedFullAt: 0,
      refusedUntil: 0,
      isAsking: false,
      alone: undefined,
    };
    for (const [id, { active }] of tenants) {
      if (tenants.size < MAX_TENANTS) break;
      if (active === 0) tenants.delete(id);
    }
    tenants.set(tenantId, held);
    return held;
  }

  async function ask(
    held: Held,
    key: Pick<KeyRecord, "tenant_id" | "residency">,
    limits: Limits,
  ): Promise<Lease & { enoughSlots: boolean }> {
    // Randomness may not be drawn before the first request.
    isolate ??= crypto.randomUUID();
    const most = Math.max(
      1,
      Math.min(LARGEST_LEASE, Math.floor(limits.per_second * LARGEST_SHARE)),
    );
    const request: LeaseRequest = {
      isolate,
      limits,
      tokens: Math.min(held.size, most),
      unused: held.unused,
      slots: held.active + Math.max(1, Math.floor(limits.in_flight / 50)),
    };
    const question = ++held.questions;
    held.unused = 0;
    let lease: Lease;
    try {
      lease = await withTimeout(source(key.tenant_id, key.residency, request), ASK_TIMEOUT_MS);
      held.alone = undefined;
    } catch (error) {
      if (!held.alone) {
        log("warn", "limits are counted by this isolate alone", { error: describeError(error) });
        held.alone = createLimitState(now);
      }
      lease = held.alone({ ...request, unused: 0 });
    }
    held.tokens += lease.tokens;
    held.tokensUntil = now() + LEASE_LIFE_MS;
    // Of questions that were on their way together the last one counts there, and so here.
    if (question > held.slotsOf) [held.slots, held.slotsOf] = [lease.slots, question];
    held.burstFullAt = lease.burstFullAt;
    held.sustainedFullAt = lease.sustainedFullAt;
    held.size = Math.min(held.size * 2, most);
    return { ...lease, enoughSlots: lease.slots >= request.slots || held.active <= lease.slots };
  }

  function headersOf(held: Held, limits: Limits): Record<string, string> {
    const at = now();
    const { burst, sustained } = quotasOf(limits);
    const item = (name: string, quota: typeof burst, fullAt: number) => {
      const left = Math.min(quota.limit, tokensLeft(quota, fullAt, at) + held.tokens);
      return `"${name}";r=${left};t=${Math.max(0, Math.ceil((fullAt - at) / 1000))}`;
    };
    return {
      "ratelimit-policy": `"burst";q=${burst.limit};w=1, "sustained";q=${sustained.limit};w=60, "in-flight";q=${limits.in_flight};qu="concurrent-requests"`,
      ratelimit: `${item("burst", burst, held.burstFullAt)}, ${item("sustained", sustained, held.sustainedFullAt)}, "in-flight";r=${Math.max(0, limits.in_flight - held.active)}`,
    };
  }

  function refuse(held: Held, limits: Limits): never {
    metrics?.count("antiphon_edge_limited_total", { limit: "rate" });
    const seconds = Math.max(1, Math.ceil((held.refusedUntil - now()) / 1000));
    throw new ApiError(
      "rate_limited",
      `At most ${limits.per_second} requests a second and ${limits.per_minute} a minute.`,
      { headers: { ...headersOf(held, limits), "retry-after": String(seconds) } },
    );
  }

  async function enter(
    key: Pick<KeyRecord, "tenant_id" | "residency" | "limits">,
    later: (work: Promise<unknown>) => void,
  ): Promise<Pass> {
    const limits = key.limits ?? defaults;
    const held = heldOf(key.tenant_id);
    const at = now();
    if (held.refusedUntil > at) refuse(held, limits);
    if (held.tokens > 0 && held.tokensUntil <= at) {
      held.unused += held.tokens;
      held.tokens = 0;
      held.size = Math.max(1, held.size >> 1);
    }
    held.active++;
    if (held.tokens === 0 || held.active > held.slots) {
      const { retryMs, enoughSlots } = await ask(held, key, limits);
      if (held.tokens === 0) {
        held.active--;
        held.refusedUntil = now() + Math.max(1, retryMs);
        refuse(held, limits);
      }
      if (!enoughSlots) {
        held.active--;
        metrics?.count("antiphon_edge_limited_total", { limit: "in_flight" });
        throw new ApiError(
          "too_many_in_flight",
          `At most ${limits.in_flight} requests may wait for their answer at once.`,
          { headers: { ...headersOf(held, limits), "retry-after": "1" } },
        );
      }
    }
    held.tokens--;
    // Asked for before the lease is used up, so that no request has to wait for it.
    if (held.tokens < held.size >> 2 && !held.isAsking) {
      held.isAsking = true;
      later(ask(held, key, limits).finally(() => (held.isAsking = false)));
    }
    let left = false;
    return {
      headers: headersOf(held, limits),
      leave() {
        if (!left) held.active--;
        left = true;
      },
    };
  }

  return { enter };
}
