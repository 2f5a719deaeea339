import { destination, pino, stdTimeFunctions, type Logger } from "pino";

export type { Logger };

/** Bytes that are written before the turn is over. */
const WRITE_FROM = 8192;

/** Structured logs, one JSON object a line; secrets are struck out wherever they turn up. */
export function createLogger(service: string, region: string, level: string): Logger {
  return pino(
    {
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
      timestamp: stdTimeFunctions.isoTime,
      // The word, as the edge writes it.
      formatters: { level: (level) => ({ level }) },
    },
    gatherLines(),
  );
}

/** Standard output, written to once for all lines of a turn of the event loop: a write takes longer than making the line. */
function gatherLines() {
  const output = destination({ dest: 1, sync: true });
  let gathered = "";
  function write(): void {
    if (gathered !== "") output.write(gathered);
    gathered = "";
  }
  // Also when it ends by a fault that nobody caught.
  process.on("exit", write);
  return {
    write(line: string) {
      if (gathered === "") setImmediate(write);
      gathered += line;
      if (gathered.length >= WRITE_FROM) write();
    },
  };
}
