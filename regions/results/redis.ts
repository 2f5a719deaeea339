import { Redis } from "ioredis";
import { saysReplica } from "../ops/says-replica.ts";

export type { Redis };

/**
 * A connection that fails a command at once while Redis is away (callers have their own backoff) and reconnects by itself.
 * `onError` hears of every failed try to connect.
 */
export function createRedis(url: string, onError: (error: Error) => void = () => undefined): Redis {
  const redis = new Redis(url, {
    connectTimeout: 2000,
    commandTimeout: 5000,
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    retryStrategy: (times) => Math.min(50 * 2 ** times, 1000) * (0.5 + Math.random() / 2),
    reconnectOnError: saysReplica,
  });
  redis.on("error", onError);
  return redis;
}

/** A connection of its own for commands that wait in Redis for up to `blockMs`. */
export function duplicateForBlocking(redis: Redis, blockMs: number): Redis {
  const blocking = redis.duplicate({
    commandTimeout: undefined,
    maxRetriesPerRequest: 1,
    enableOfflineQueue: true,
    // Without it a connection that has died silently would be waited on for ever.
    socketTimeout: blockMs + 5000,
  });
  blocking.on("error", () => undefined);
  return blocking;
}
