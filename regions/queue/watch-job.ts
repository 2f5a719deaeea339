import { setTimeout as sleep } from "node:timers/promises";
import type { JobSnapshot } from "./queue-port.ts";

export interface WatchParts {
  /** The present state; asks to be told of the next change. */
  look(): Promise<JobSnapshot | undefined>;
  /** Calls `listener` on every change, until the returned function is called. */
  listen(listener: () => void): () => void;
  afterVersion?: number;
  signal: AbortSignal;
  /** Looks at least so often, milliseconds: a message may get lost. */
  everyMs?: number;
}

const finals: readonly string[] = ["succeeded", "failed", "canceled"];

/** New states of a job as they come: messages only wake, the state itself is read. Rides out a queue that is away. */
export async function* watchJob(parts: WatchParts): AsyncGenerator<JobSnapshot, void> {
  const { look, listen, afterVersion = 0, signal, everyMs = 5000 } = parts;
  let seen = afterVersion;
  let changed = Promise.withResolvers<void>();
  const wake = () => changed.resolve();
  const ignore = listen(wake);
  signal.addEventListener("abort", wake, { once: true });
  try {
    while (!signal.aborted) {
      changed = Promise.withResolvers<void>();
      const snapshot = await look().catch(() => "away" as const);
      if (snapshot === undefined) return;
      if (snapshot !== "away") {
        if (snapshot.version > seen) {
          seen = snapshot.version;
          yield snapshot;
        }
        if (finals.includes(snapshot.state.status)) return;
      }
      if (signal.aborted) return;
      const timer = new AbortController();
      await Promise.race([
        changed.promise,
        sleep(snapshot === "away" ? 500 : everyMs, undefined, { signal: timer.signal }).catch(
          () => undefined,
        ),
      ]);
      timer.abort();
    }
  } finally {
    ignore();
    signal.removeEventListener("abort", wake);
  }
}
