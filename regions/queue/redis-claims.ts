import { coalesce } from "./coalesce.ts";
import type { ClaimOptions, Run } from "./queue-port.ts";
import { readSpec, SPEC_VERSION } from "./read-spec.ts";
import type { RedisEvents } from "./redis-events.ts";
import type { RunScript } from "./redis-scripts.ts";

export interface RedisClaimsParts {
  script: RunScript;
  onWork: RedisEvents["onWork"];
  /** Ends all claims, which then give nothing. */
  closed: AbortSignal;
  leaseMs: number;
  /** Ends what has waited past its deadline. */
  reap(): Promise<unknown>;
  onClaimed(run: Run): void;
  /** Ends a run that nobody can do; never rejects. */
  onUnreadable(run: Run): Promise<void>;
}

/** An idle claim asks at least so often: a message may get lost, and a delayed job become due. */
const LOOK_EVERY_MS = 1000;
interface Taken {
  runs: Run[];
  /** Until asking again can bring something, though nobody says so. */
  waitMs: number;
  /** Whether asking again at once can bring something. */
  again: boolean;
  metOverdue: boolean;
}
const tookNothing: Taken = { runs: [], waitMs: LOOK_EVERY_MS, again: false, metOverdue: false };
type Claimer = Pick<ClaimOptions, "signal"> & { max: number };
type ClaimReply = [
  number,
  string,
  "overdue" | "more" | "",
  (string | null)[],
  ...(string | number)[],
];
type ClaimRow = [string, number, number, number, number, string | number, string];

/** What hands out runs: a claim takes up to `max` of them, and waits for the first until it is aborted. */
export function createRedisClaims(parts: RedisClaimsParts) {
  const { script, onWork, closed, leaseMs, reap, onClaimed, onUnreadable } = parts;

  /** One claim for all that ask at the same moment and on the same terms. */
  const claimers = new Map<string, (claimer: Claimer) => Promise<Taken>>();
  function take(terms: ClaimOptions, max: number): Promise<Taken> {
    const { signal, workerId, maxEstimateS, maxVersion = SPEC_VERSION } = terms;
    const key = JSON.stringify([workerId, maxEstimateS, maxVersion]);
    let claimer = claimers.get(key);
    if (!claimer) {
      claimer = coalesce(async (all) => {
        claimers.delete(key);
        // What nobody waits for any more would only have to be handed back.
        const wants = all.map((one) => (one.signal.aborted ? 0 : one.max));
        const want = wants.reduce((sum, one) => sum + one, 0);
        if (want === 0) return all.map(() => tookNothing);
        const most = maxEstimateS === undefined ? "" : Math.round(maxEstimateS * 1000);
        const reply = await script("claim", [leaseMs, workerId, want, most, maxVersion]);
        const [now, due, met, specs, ...rest] = reply as ClaimReply;
        const waitMs = Math.min(LOOK_EVERY_MS, due === "" ? Infinity : Math.max(5, +due - now));
        const read = await Promise.all(
          specs.map((text, n) =>
            toRun(text ?? "", rest.slice(7 * n, 7 * n + 7) as ClaimRow, workerId, now),
          ),
        );
        const runs = read.filter((run) => run !== undefined);
        const again = met !== "" || runs.length < specs.length;
        return wants.map((one) => ({
          runs: runs.splice(0, one),
          waitMs,
          again,
          metOverdue: met === "overdue",
        }));
      });
      claimers.set(key, claimer);
    }
    return claimer({ max, signal });
  }

  async function toRun(
    text: string,
    row: ClaimRow,
    workerId: string,
    now: number,
  ): Promise<Run | undefined> {
    const [id, dispatch, attempt, triedBefore, cost, deadline, tenantId] = row;
    const { spec, unreadable } = readSpec(text, { id, tenantId, dispatch });
    const run: Run = {
      workerId,
      spec,
      epoch: { dispatch, attempt },
      triedBefore,
      estimateS: cost / 1000,
      startedAtMs: now,
      leaseExpiresAtMs: now + leaseMs,
      ...(deadline === "" ? {} : { deadlineInMs: Number(deadline) - now }),
    };
    onClaimed(run);
    if (!unreadable) return run;
    await onUnreadable(run);
    return undefined;
  }

  async function claimMany(terms: ClaimOptions & { max: number }): Promise<Run[]> {
    const { signal, max } = terms;
    let listening: { heard: PromiseWithResolvers<void>; stop(): void } | undefined;
    const wake = () => listening?.heard.resolve();
    function listen() {
      const ignore = onWork(wake);
      signal.addEventListener("abort", wake, { once: true });
      closed.addEventListener("abort", wake, { once: true });
      return {
        heard: Promise.withResolvers<void>(),
        stop() {
          ignore();
          signal.removeEventListener("abort", wake);
          closed.removeEventListener("abort", wake);
        },
      };
    }
    try {
      while (!signal.aborted && !closed.aborted) {
        if (listening) listening.heard = Promise.withResolvers<void>();
        const taken = await take(terms, max);
        if (taken.runs.length > 0) return taken.runs;
        if (taken.metOverdue) await reap();
        if (taken.again || signal.aborted || closed.aborted) continue;
        if (listening === undefined) {
          // Only one that found nothing listens, and then asks again: what came in between is not missed.
          listening = listen();
          continue;
        }
        const timer = setTimeout(wake, taken.waitMs);
        await listening.heard.promise;
        clearTimeout(timer);
      }
      return [];
    } finally {
      listening?.stop();
    }
  }

  return claimMany;
}
