import { pino, type Logger } from "pino";

export type { Logger };

/** Structured logs, one JSON object a line; secrets are struck out wherever they turn up. */
export function createLogger(service: string, region: string, level: string): Logger {
  return pino({
    level,
    base: { service, region, pid: process.pid },
    redact: {
      paths: [
        "*.authorization",
        "*.password",
        "*.secret",
        "headers.authorization",
        "req.headers.authorization",
      ],
      censor: "[redacted]",
    },
    timestamp: pino.stdTimeFunctions.isoTime,
  });
}
