import { readJson } from "../results/offers.ts";
import type { Redis } from "../results/redis.ts";
import { Delivery, deliveryOf, rowOf, type DeliveryRow } from "./delivery.ts";
import { GIVE_UP_AFTER_MS } from "./retry-policy.ts";
import { createWebhookScripts } from "./scripts.ts";
import { laneOf, webhookKeys } from "./webhook-keys.ts";

export interface RedeliverOptions {
  redis: Redis;
  /** What the database knows of a delivery that this region has forgotten. */
  findRow(tenantId: string, id: string): Promise<DeliveryRow | undefined>;
  /** Unix ms. */
  now?: () => number;
}

export interface Redelivery {
  endpointId: string | null;
  /** Sends it again: at once, and then for up to 72 hours as if it were new, by the same id. */
  begin(): Promise<DeliveryRow>;
}

/** Finds a delivery that is to be sent again; undefined when there is none, or when where it went is not known any more. */
export function createRedeliver({ redis, findRow, now = Date.now }: RedeliverOptions) {
  const scripts = createWebhookScripts(redis);

  async function find(tenantId: string, id: string): Promise<Delivery | undefined> {
    const text = await redis.get(webhookKeys.delivery(id));
    const near = text === null ? undefined : readJson(Delivery, text);
    if (near && "value" in near) return near.value;
    const row = await findRow(tenantId, id);
    return row && deliveryOf(row);
  }

  return async (tenantId: string, id: string): Promise<Redelivery | undefined> => {
    const found = await find(tenantId, id);
    if (found?.tenant_id !== tenantId) return undefined;
    return {
      endpointId: "endpoint_id" in found.target ? found.target.endpoint_id : null,
      async begin() {
        const again: Delivery = {
          ...found,
          status: "pending",
          tries: 0,
          expires_ms: now() + GIVE_UP_AFTER_MS,
          next_attempt_ms: now(),
        };
        const lane = laneOf(tenantId, found.target);
        return rowOf((await scripts.redeliver(again, lane, now())) ? again : found);
      },
    };
  };
}
