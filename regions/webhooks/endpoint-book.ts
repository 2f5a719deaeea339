import { z } from "zod";
import type { Logger } from "../ops/logger.ts";
import { readJson } from "../results/offers.ts";
import type { Redis } from "../results/redis.ts";
import type { Delivery } from "./delivery.ts";
import { webhookKeys } from "./webhook-keys.ts";

/** Where a delivery goes now. */
export interface FoundTarget {
  url: string;
  status: "active" | "paused" | "disabled";
  /** Since when, Unix ms. */
  statusSinceMs: number;
  includeResult: boolean;
  secrets: readonly string[];
}

export interface StopEndpoint {
  status: "paused" | "disabled";
  reason: string;
}

const Stopped = z.strictObject({
  status: z.enum(["paused", "disabled"]),
  reason: z.string(),
  atMs: z.number(),
});

export interface EndpointBookOptions {
  redis: Redis;
  source: {
    target(endpointId: string): Promise<FoundTarget | undefined>;
    tenantSecrets(tenantId: string): Promise<string[]>;
    /** Writes it down for good. */
    stop(endpointId: string, how: z.infer<typeof Stopped>): Promise<void>;
  };
  logger: Logger;
  /** How old what is known of an endpoint may be. */
  ttlMs?: number;
  /** Unix ms. */
  now?: () => number;
}

const MOST_KEPT = 10_000;

/**
 * Endpoints and secrets as the database has them, a few seconds old at most, or as they were last known while it is away; and those
 * that are to be stopped, of which the region knows at once and the database when it can.
 */
export function createEndpointBook(options: EndpointBookOptions) {
  const { redis, source, logger, ttlMs = 3000, now = Date.now } = options;
  const known = new Map<string, { at: number; found: FoundTarget | undefined }>();

  async function read(tenantId: string, target: Delivery["target"]) {
    if ("endpoint_id" in target) {
      const found = await source.target(target.endpoint_id);
      if (found?.secrets.length === 0)
        throw new Error("the endpoint has no secret that could sign");
      return found;
    }
    const secrets = await source.tenantSecrets(tenantId);
    if (secrets.length === 0) throw new Error("the tenant has no secret that could sign");
    const { url, include_result: includeResult } = target;
    return { url, status: "active" as const, statusSinceMs: 0, includeResult, secrets };
  }

  async function cached(
    tenantId: string,
    target: Delivery["target"],
  ): Promise<FoundTarget | undefined> {
    const key = "url" in target ? `${tenantId} ${target.url}` : target.endpoint_id;
    const there = known.get(key);
    if (there && now() - there.at < ttlMs) return there.found;
    try {
      const found = await read(tenantId, target);
      known.delete(key);
      known.set(key, { at: now(), found });
      for (const oldest of known.keys()) {
        if (known.size <= MOST_KEPT) break;
        known.delete(oldest);
      }
      return found;
    } catch (error) {
      if (!there) throw error;
      logger.warn({ err: error }, "a webhook goes by the endpoint that was last known");
      return there.found;
    }
  }

  return {
    /** Undefined when the endpoint is gone. @throws while it cannot be read, and was not read before */
    async find(tenantId: string, target: Delivery["target"]): Promise<FoundTarget | undefined> {
      const found = await cached(tenantId, target);
      if (!found || !("endpoint_id" in target) || found.status !== "active") return found;
      const text = await redis.hget(webhookKeys.stopped, target.endpoint_id);
      if (text === null) return found;
      const stopped = readJson(Stopped, text);
      return "value" in stopped ? { ...found, status: stopped.value.status } : found;
    },

    /** Stops an endpoint in this region at once; `carry` tells the database. */
    async stop(endpointId: string, { status, reason }: StopEndpoint): Promise<void> {
      const text = JSON.stringify({ status, reason, atMs: now() });
      if ((await redis.hsetnx(webhookKeys.stopped, endpointId, text)) === 0) return;
      logger.warn({ endpoint: endpointId, status, reason }, "stopped a webhook endpoint");
    },

    /** Tells the database of the endpoints that were stopped. @throws while it is away: they stay stopped here */
    async carry(): Promise<void> {
      const all = await redis.hgetall(webhookKeys.stopped);
      for (const [endpointId, text] of Object.entries(all)) {
        const stopped = readJson(Stopped, text);
        if ("value" in stopped) await source.stop(endpointId, stopped.value);
        known.delete(endpointId);
        // What failed until now does not count against it once its owner has made it active.
        await redis.del(webhookKeys.health(endpointId));
        await redis.hdel(webhookKeys.stopped, endpointId);
      }
    },
  };
}

export type EndpointBook = ReturnType<typeof createEndpointBook>;
