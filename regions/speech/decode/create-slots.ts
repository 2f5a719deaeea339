/** A counting semaphore whose waiters are served in order and may give up. `acquire` answers with its release. */
export function createSlots(count: number) {
  let free = count;
  const waiting: (() => void)[] = [];

  function releaseOnce(): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    };
  }

  return {
    async acquire(signal?: AbortSignal): Promise<() => void> {
      signal?.throwIfAborted();
      if (free > 0) {
        free -= 1;
        return releaseOnce();
      }
      await new Promise<void>((resolve, reject) => {
        const abort = () => {
          waiting.splice(waiting.indexOf(grant), 1);
          reject(signal?.reason as Error);
        };
        const grant = () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        };
        waiting.push(grant);
        signal?.addEventListener("abort", abort, { once: true });
      });
      return releaseOnce();
    },
  };
}
