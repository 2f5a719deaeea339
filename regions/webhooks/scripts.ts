import { resultKeys } from "../results/result-keys.ts";
import type { Redis } from "../results/redis.ts";
import { define } from "../results/scripts.ts";
import type { Delivery, DeliveryRow } from "./delivery.ts";
import { webhookGroups, webhookKeys } from "./webhook-keys.ts";

/** How long what has ended is kept here, to be sent again on demand; the database keeps it for longer. */
const KEEP_ENDED_S = 86_400;
/** A sealed result outlives its delivery's last try by a little. */
const KEEP_SEALED_S = 73 * 3600;

export interface PlannedDelivery {
  delivery: Delivery;
  lane: string;
  /** For the database, when there is no room. */
  refused: DeliveryRow;
}

export interface ClaimedDelivery {
  id: string;
  lane: string;
  /** JSON. */
  record: string;
  leaseUntilMs: number;
}

export interface Recorded {
  claimed: Pick<ClaimedDelivery, "id" | "lane" | "leaseUntilMs">;
  delivery: Delivery;
  /** Undefined: never again. */
  nextMs: number | undefined;
  row: DeliveryRow | undefined;
  /** How the target is, where it was asked. */
  target: "well" | "ill" | "";
  holdUntilMs: number;
}

/** The atomic steps of webhooks in a region's Redis. */
export function createWebhookScripts(redis: Redis) {
  const plan = define(redis, "plan", 4, { beside: import.meta.url });
  const claim = define(redis, "claim", 1, { beside: import.meta.url });
  const record = define(redis, "record", 3, { beside: import.meta.url });
  const redeliver = define(redis, "redeliver", 2, { beside: import.meta.url });
  const { lanes, pending, rows, prefix } = webhookKeys;

  return {
    /** Undefined when the event was planned before. `sealed`: the result that goes with each delivery. */
    async plan(
      entryId: string,
      {
        deliveries,
        sealed = "",
      }: { deliveries: readonly PlannedDelivery[]; sealed?: string | undefined },
      room: { nowMs: number; tenantId: string; mostInLane: number; mostSealedBytes: number },
    ): Promise<{ made: number; full: number } | undefined> {
      const each = deliveries.flatMap(({ delivery, lane, refused }) => [
        delivery.id,
        lane,
        JSON.stringify(delivery),
        JSON.stringify(refused),
      ]);
      const keys = [resultKeys.webhooks, lanes, pending, rows];
      const { nowMs, tenantId, mostInLane, mostSealedBytes } = room;
      const bounds = [mostInLane, mostSealedBytes, tenantId, sealed];
      const args = [webhookGroups.events, entryId, nowMs, prefix, KEEP_SEALED_S, ...bounds];
      const answer = await plan(...keys, ...args.map(String), ...each);
      if (answer === null) return undefined;
      const [made, full] = answer as [number, number];
      return { made, full };
    },

    async claim(options: {
      nowMs: number;
      leaseMs: number;
      most: number;
      mostOfLane: number;
      failuresForOne: number;
    }): Promise<{ claimed: ClaimedDelivery[]; nextMs: number | undefined }> {
      const { nowMs, leaseMs, most, mostOfLane, failuresForOne } = options;
      const leaseUntilMs = nowMs + leaseMs;
      const args = [nowMs, leaseUntilMs, most, mostOfLane, failuresForOne, prefix];
      const [next, ...taken] = (await claim(lanes, ...args.map(String))) as [
        string | null,
        ...string[],
      ];
      const claimed: ClaimedDelivery[] = [];
      for (let at = 0; at + 2 < taken.length; at += 3) {
        const [id, lane, text] = taken.slice(at, at + 3) as [string, string, string];
        claimed.push({ id, lane, record: text, leaseUntilMs });
      }
      return { claimed, nextMs: next === null ? undefined : Number(next) };
    },

    /** How the lane is after it; undefined when the delivery was taken over, or deleted. */
    async record(
      { claimed, delivery, nextMs, row, target, holdUntilMs }: Recorded,
      nowMs: number,
    ): Promise<{ failures: number; sinceMs: number } | undefined> {
      const { id, lane, leaseUntilMs } = claimed;
      const answer = await record(
        lanes,
        pending,
        rows,
        String(nowMs),
        prefix,
        id,
        lane,
        String(leaseUntilMs),
        JSON.stringify(delivery),
        nextMs === undefined ? "" : String(nextMs),
        String(KEEP_ENDED_S),
        row === undefined ? "" : JSON.stringify(row),
        target,
        String(holdUntilMs),
        delivery.tenant_id,
      );
      if (answer === null) return undefined;
      const [failures, since] = answer as [number, string];
      return { failures, sinceMs: Number(since) };
    },

    /** False when it is under way. */
    async redeliver(delivery: Delivery, lane: string, nowMs: number): Promise<boolean> {
      const text = JSON.stringify(delivery);
      const args = [String(nowMs), prefix, delivery.id, lane, text];
      return (await redeliver(lanes, pending, ...args)) === 1;
    },
  };
}
