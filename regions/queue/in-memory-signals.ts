/** Listeners by name, within one process. */
export interface InMemorySignals {
  call(name: string): void;
  /** Until the returned function is called. */
  on(name: string, listener: () => void): () => void;
  /** Resolves when the name is called, after `limitMs`, or once one of the signals is aborted. */
  wait(name: string, limitMs: number, stop: readonly AbortSignal[]): Promise<void>;
}

export function createInMemorySignals(): InMemorySignals {
  const listeners = new Map<string, Set<() => void>>();

  function on(name: string, listener: () => void): () => void {
    const set = listeners.get(name) ?? new Set();
    listeners.set(name, set.add(listener));
    return () => void set.delete(listener);
  }

  return {
    on,
    call: (name) => listeners.get(name)?.forEach((listener) => listener()),
    async wait(name, limitMs, stop) {
      const woken = Promise.withResolvers<void>();
      const wake = () => woken.resolve();
      const ignore = on(name, wake);
      const timer = setTimeout(wake, limitMs);
      for (const signal of stop) signal.addEventListener("abort", wake, { once: true });
      try {
        await woken.promise;
      } finally {
        ignore();
        clearTimeout(timer);
        for (const signal of stop) signal.removeEventListener("abort", wake);
      }
    },
  };
}
