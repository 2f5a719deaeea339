import type { Logger } from "./logger.ts";

export interface ShutdownOptions {
  logger: Logger;
  /** Time that draining may take before the process gives up and exits 1. */
  timeoutMs?: number;
}

/**
 * On the first SIGTERM or SIGINT runs `drain`, then exits 0; exits 1 when it fails, takes too long, or a second
 * signal comes. Returns a function that does the same for a fault inside (exit 1).
 */
export function onShutdown(
  drain: (reason: string) => Promise<void>,
  { logger, timeoutMs = 8000 }: ShutdownOptions,
): (fault: unknown) => void {
  let stopping = false;

  function stop(reason: string, exitCode: number): void {
    if (stopping) {
      logger.warn({ reason }, "stopping at once");
      process.exit(1);
    }
    stopping = true;
    logger.info({ reason }, "stopping");
    const timer = setTimeout(() => {
      logger.error({ timeoutMs }, "did not drain in time");
      process.exit(1);
    }, timeoutMs);
    timer.unref();
    drain(reason).then(
      () => {
        logger.info("stopped");
        process.exit(exitCode);
      },
      (error: unknown) => {
        logger.error({ err: error }, "failed while stopping");
        process.exit(1);
      },
    );
  }

  process.on("SIGTERM", () => stop("SIGTERM", 0));
  process.on("SIGINT", () => stop("SIGINT", 0));
  return (fault) => {
    logger.fatal({ err: fault }, "a fault that cannot be mended here");
    if (!stopping) stop("fault", 1);
  };
}
