import { Redis } from "ioredis";
import { saysReplica } from "../ops/says-replica.ts";

const COMMAND_TIMEOUT_MS = 5000;

/** A connection that fails at once while Redis is away, and reconnects by itself. `onError` hears of every failed try. */
export function openConnection(
  url: string,
  onError: (error: Error) => void,
  { subscriber = false } = {},
): Redis {
  const redis = new Redis(url, {
    // Fail at once instead of queueing: a claim sent again after a reconnect would take a lease for nobody.
    enableOfflineQueue: subscriber,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: subscriber ? null : 0,
    ...(subscriber ? {} : { commandTimeout: COMMAND_TIMEOUT_MS }),
    retryStrategy: (times: number) => Math.min(1000, 50 * times),
    // After a fail-over, or by a name of several nodes, it may lead to a replica: connect anew, and find the primary behind the name.
    reconnectOnError: saysReplica,
    lazyConnect: subscriber,
  });
  redis.on("error", onError);
  return redis;
}
