import { once, type EventEmitter } from "node:events";

/**
 * Resolves once a connection was made or refused for the first time, or after `limitMs`; never rejects. Commands that
 * wait for it do not fail merely because the process has just started.
 */
export async function firstConnection(
  connection: EventEmitter & { status: string },
  limitMs = 2000,
): Promise<void> {
  if (connection.status === "ready") return;
  // `once` rejects on "error", which is an answer too.
  await once(connection, "ready", { signal: AbortSignal.timeout(limitMs) }).catch(() => undefined);
}
