import type { UsageEnvelope } from "../../shared/contracts/completion.ts";
import { createBackoff } from "../ops/backoff.ts";
import type { Logger } from "../ops/logger.ts";
import type { Metrics } from "../ops/metrics.ts";
import type { Redis } from "./redis.ts";
import { resultKeys } from "./result-keys.ts";

export interface UsageOutboxOptions {
  redis: Pick<Redis, "xadd">;
  logger: Logger;
  metrics: Metrics;
  /** For how long Redis is tried. */
  patienceMs?: number;
  /** Ends the tries: the process stops. */
  signal?: AbortSignal;
  backoff?: { minMs?: number; maxMs?: number };
}

/**
 * Puts usage of work that is no job onto the outbox. What it is the usage of was given out already, so a Redis that is
 * away is waited for in the background; trying again adds no row, since rows are unique by the envelope's id. Usage that
 * could not be put is in the log, with its figures. Never rejects.
 */
export function createUsageOutbox(options: UsageOutboxOptions) {
  const { redis, logger, metrics, signal, patienceMs = 60_000 } = options;
  const lost = metrics.counter("antiphon_usage_lost_total", "Usage that never got to the outbox.");

  return async (envelope: UsageEnvelope): Promise<void> => {
    const text = JSON.stringify(envelope);
    const limit = AbortSignal.any([AbortSignal.timeout(patienceMs), ...(signal ? [signal] : [])]);
    const backoff = createBackoff(options.backoff);
    for (;;) {
      try {
        await redis.xadd(resultKeys.outbox, "*", "envelope", text);
        return;
      } catch (error) {
        if (limit.aborted) {
          lost.inc();
          logger.error({ err: error, usage: envelope }, "usage could not be recorded");
          return;
        }
        await backoff.wait(limit);
      }
    }
  };
}
