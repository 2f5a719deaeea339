/** One JSON line, with `level`, `time`, `service`, `msg` and `request_id` as the regions write them. Fields must never hold a key, a secret or content. */
export function log(
  level: "info" | "warn" | "error",
  msg: string,
  fields: Record<string, unknown> = {},
): void {
  const time = new Date().toISOString();
  const line = JSON.stringify({ level, time, service: "edge", msg, ...fields });
  // The console is what Workers have for standard output.
  console[level === "error" ? "error" : "log"](line);
}

/** An error as a log field: with the chain of its causes, for the log only. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : ` <- ${describeError(error.cause)}`;
  return `${error.name}: ${error.message}${cause}`;
}
