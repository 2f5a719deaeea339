import type { Readiness } from "../../shared/contracts/api.ts";

export interface ReadinessOptions {
  region: string;
  /** Each rejects, or resolves to false, while the part it asks is away. */
  checks: Record<string, (signal: AbortSignal) => Promise<unknown>>;
  /** Jobs waiting and running in this region; absent where the service has no queue at hand. */
  load?: (signal: AbortSignal) => Promise<{ waiting_jobs: number; running_jobs: number }>;
  /** How long one answer may take; what has not answered by then counts as failed. */
  timeoutMs?: number;
}

/** Asks all parts at once. Never rejects: a part that is away makes the answer `not_ready`. */
export function createReadiness(options: ReadinessOptions): () => Promise<Readiness> {
  const { region, checks, load, timeoutMs = 1000 } = options;

  return async () => {
    const clock = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const reason = new Error(`no answer within ${timeoutMs} ms`);
        clock.abort(reason);
        reject(reason);
      }, timeoutMs);
    });
    const inTime = <T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> =>
      Promise.race([work(clock.signal), tooLate]);
    try {
      const [outcomes, jobs] = await Promise.all([
        Promise.all(
          Object.entries(checks).map(async ([name, check]) => {
            const passed = await inTime(check).then(
              (value) => value !== false,
              () => false,
            );
            return [name, passed ? "ok" : "failed"] as const;
          }),
        ),
        load ? inTime(load).catch(() => undefined) : undefined,
      ]);
      return {
        status: outcomes.every(([, outcome]) => outcome === "ok") ? "ready" : "not_ready",
        region,
        checks: Object.fromEntries(outcomes),
        waiting_jobs: jobs?.waiting_jobs ?? 0,
        running_jobs: jobs?.running_jobs ?? 0,
      };
    } finally {
      clearTimeout(timer);
      tooLate.catch(() => undefined);
    }
  };
}
