import type { Job } from "../../shared/contracts/api.ts";
import type { JobChange, JobEventState } from "../../shared/contracts/job-events.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import type { Trace } from "../context.ts";
import { watchRegion } from "../forward/watch-region.ts";
import type { KnownJob, LedgerJob } from "../ledger/ledger-job.ts";
import { describeError, log } from "../ops/log.ts";
import type { EdgeServices } from "../services.ts";

/** What is told of a job. `id` names the state, so that who has seen it can go on from there. */
export type JobEvent =
  | { id: string; event: "status" | "progress"; data: JobEventState }
  | { id: string; event: "result"; data: Job };

export interface FollowJob {
  job: KnownJob;
  /** The id of the last event that was seen. */
  lastEventId: string | undefined;
  /** Begins URLs. */
  base: string;
  trace: Trace;
  signal: AbortSignal;
  tell(event: JobEvent): void;
}

/** One wait at the ledger: whoever leaves meanwhile is waited for no longer than this. */
const LEDGER_WAIT_MS = 10_000;
const PAUSE_MIN_MS = 1_000;
const PAUSE_MAX_MS = 8_000;
const RESULT_TRIES = 3;

/** Ids are `<dispatch>.<version in the region>`, and `<dispatch>.final` for the last one. */
export const finalEventId = (job: KnownJob): string => `${job.dispatch}.final`;

/**
 * Tells a job's states as they come, until the ledger has accepted its final one: what its region calls an end is none before. The region
 * streams its changes; while it is away, the ledger's state is told, which says that the job waits for it.
 */
export function createFollowJob(services: EdgeServices) {
  const { config, ledger, streamRegion, describeJob } = services;

  return async ({ job, lastEventId, base, trace, signal, tell }: FollowJob): Promise<void> => {
    const key = { id: job.draft.id, tenant_id: job.draft.tenant_id };
    const ended = new AbortController();
    const stop = AbortSignal.any([signal, ended.signal]);
    let current: KnownJob = job;
    // What was told last: of an older dispatch it says nothing.
    const seen = /^(\d{1,9})\.(\d{1,15})$/.exec(lastEventId ?? "");
    let dispatch = job.dispatch;
    let version = Number(seen?.[1]) === dispatch ? Number(seen?.[2]) : 0;
    let told: JobEventState | undefined;
    /** Of the region that is watched now. */
    let watching = new AbortController();

    function tellState(data: JobEventState): void {
      const before = told;
      told = data;
      if (before && JSON.stringify(before) === JSON.stringify(data)) return;
      const event = before && isSameStatus(before, data) ? "progress" : "status";
      tell({ id: `${data.dispatch}.${version}`, event, data });
    }

    async function followLedger(): Promise<LedgerJob | null> {
      let pauseMs = PAUSE_MIN_MS;
      while (!signal.aborted) {
        const asked = Date.now();
        const next = await ledger.wait(key, LEDGER_WAIT_MS).catch((error: unknown) => {
          log("warn", "waiting for a job failed", { job_id: key.id, error: describeError(error) });
          return undefined;
        });
        if (next === null) throw new ApiError("job_not_found");
        if (next?.state === "final") return next;
        if (next) current = next;
        if (current.dispatch !== dispatch) {
          [dispatch, version] = [current.dispatch, 0];
          watching.abort();
        }
        // A ledger that has too many waiters, or is away, answers at once.
        if (Date.now() - asked < LEDGER_WAIT_MS / 2) {
          await pause(pauseMs, signal);
          pauseMs = Math.min(2 * pauseMs, PAUSE_MAX_MS);
        } else pauseMs = PAUSE_MIN_MS;
      }
      return null;
    }

    function heard({ version: newest, state }: JobChange): void {
      // The region may know of an older dispatch still; what it says of that one is no longer true.
      if (state.epoch.dispatch !== current.dispatch) return;
      version = newest;
      const { status, epoch, started_at, queue_position, progress } = state;
      tellState({
        ...pendingState(current),
        // Ended in the region, but not yet accepted by the ledger: not ended for anyone else.
        status: status === "queued" ? "queued" : "running",
        attempt: epoch.attempt,
        ...(started_at === undefined ? {} : { started_at }),
        ...(queue_position === undefined ? {} : { queue_position }),
        ...(progress === undefined ? {} : { progress }),
      });
    }

    async function followRegion(): Promise<void> {
      let pauseMs = PAUSE_MIN_MS;
      while (!stop.aborted) {
        watching = new AbortController();
        const region = config.regions.find(({ id }) => id === current.region);
        try {
          if (!region) throw new ApiError("region_unavailable");
          const changes = watchRegion(streamRegion, region, {
            job: key,
            afterVersion: version,
            trace,
            signal: AbortSignal.any([stop, watching.signal]),
          });
          for await (const change of changes) {
            heard(change);
            pauseMs = PAUSE_MIN_MS;
          }
        } catch (error) {
          if (stop.aborted) return;
          if (watching.signal.aborted) continue;
          const known = !(error instanceof ApiError) || error.code !== "job_not_found";
          const away = known && current.state === "accepted";
          tellState({ ...pendingState(current), ...(away ? { waiting_for: "region" } : {}) });
        }
        // Also after its end in the region: the ledger's word is what is waited for then.
        await pause(pauseMs, AbortSignal.any([stop, watching.signal]));
        pauseMs = Math.min(2 * pauseMs, PAUSE_MAX_MS);
      }
    }

    /** The whole job; without its result where no region has that now. */
    async function wholeOf(final: KnownJob): Promise<Job> {
      for (let tries = 1; ; tries++) {
        try {
          return await describeJob.whole(final, base, trace);
        } catch (error) {
          if (tries >= RESULT_TRIES || signal.aborted) {
            log("warn", "a result could not be told", {
              job_id: key.id,
              error: describeError(error),
            });
            return { ...describeJob.accepted(final), waiting_for: "region" };
          }
          await pause(PAUSE_MIN_MS, signal);
        }
      }
    }

    const region = job.state === "final" ? undefined : followRegion();
    try {
      const final = job.state === "final" ? job : await followLedger();
      ended.abort();
      await region;
      if (!final || signal.aborted) return;
      tell({ id: finalEventId(final), event: "result", data: await wholeOf(final) });
    } finally {
      ended.abort();
    }
  };
}

const pendingState = ({ draft, region, dispatch }: KnownJob): JobEventState => ({
  id: draft.id,
  status: "queued",
  region,
  dispatch,
  attempt: 0,
});

const isSameStatus = (a: JobEventState, b: JobEventState): boolean =>
  a.status === b.status &&
  a.region === b.region &&
  a.dispatch === b.dispatch &&
  a.attempt === b.attempt &&
  a.waiting_for === b.waiting_for;

/** Waits, at most until `signal` is aborted. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}
