import { openConnection } from "./redis-connection.ts";
import { queueKeys } from "./queue-keys.ts";

export interface RedisEvents {
  /** Each of these calls its listener until the returned function is called; after a lost connection too: something may have been missed. */
  onWork(listener: () => void): () => void;
  onChange(jobId: string, listener: () => void): () => void;
  onCancel(jobId: string, listener: () => void): () => void;
  close(): void;
}

/** The queue's messages, over a connection of their own that is opened once somebody listens. They wake; what happened is read. */
export function createRedisEvents(url: string, onError: (error: Error) => void): RedisEvents {
  const listeners = new Map<string, Set<() => void>>();
  const redis = openConnection(url, onError, { subscriber: true });
  let listening = false;

  const call = (name: string) => listeners.get(name)?.forEach((listener) => listener());
  redis.on("smessage", (_channel: string, name: string) => call(name));
  redis.on("ready", () => {
    redis.ssubscribe(queueKeys.events).then(
      () => [...listeners.keys()].filter((name) => !name.startsWith("c")).forEach(call),
      () => undefined,
    );
  });

  function on(name: string, listener: () => void): () => void {
    if (!listening) {
      listening = true;
      redis.connect().catch(() => undefined);
    }
    const set = listeners.get(name) ?? new Set();
    listeners.set(name, set.add(listener));
    return () => {
      set.delete(listener);
      if (set.size === 0 && listeners.get(name) === set) listeners.delete(name);
    };
  }

  return {
    onWork: (listener) => on("w", listener),
    onChange: (jobId, listener) => on(`s${jobId}`, listener),
    onCancel: (jobId, listener) => on(`c${jobId}`, listener),
    close: () => redis.disconnect(),
  };
}
