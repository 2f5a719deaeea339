import type { JobSpec, JobStatus, Priority } from "../../shared/contracts/job.ts";
import { priorities } from "../../shared/contracts/job.ts";
import { WorkerLoad } from "../../shared/contracts/load-report.ts";
import { packEndedRun } from "../../shared/contracts/ended-run.ts";
import { firstConnection } from "../ops/first-connection.ts";
import { coalesce } from "./coalesce.ts";
import { canceled, failed } from "./completion.ts";
import { exhausted, overdue, STALLED, unreadable } from "./endings.ts";
import { classOf, laneOf, lanes } from "./lanes.ts";
import { DEFAULT_ESTIMATE_S, MAX_ATTEMPTS, MAX_STALLS } from "./queue-port.ts";
import { QueueUnsafeError, StaleDispatchError } from "./queue-port.ts";
import type {
  AttemptRecord,
  CancelOutcome,
  ClassLoad,
  Completion,
  JobSnapshot,
  Queue,
  ReapedRun,
  ReleaseOutcome,
  Renewal,
  Run,
  SubmitOutcome,
} from "./queue-port.ts";
import { readSpec } from "./read-spec.ts";
import { createRedisClaims } from "./redis-claims.ts";
import { openConnection } from "./redis-connection.ts";
import { createRedisDeadLetters } from "./redis-dead-letters.ts";
import { createRedisEvents } from "./redis-events.ts";
import { checkSafety } from "./redis-safety.ts";
import { createRedisScripts, type RunScript } from "./redis-scripts.ts";
import { retryPauseMs, type RetryPauses } from "./retry-pause.ts";
import { watchJob } from "./watch-job.ts";

export interface RedisQueueOptions {
  url: string;
  region: string;
  leaseMs?: number;
  maxAttempts?: number;
  maxStalls?: number;
  /** Pauses before further attempts. */
  retry?: RetryPauses;
  /** Refuses a Redis that does not have every write on disk before it answers (one that evicts is refused in any case). */
  onDisk?: boolean;
  /** Unix ms; without it Redis's own clock holds for all. For tests. */
  now?: () => number;
  /** Told of connection errors, and of a Redis that may not be used; the queue reconnects by itself. */
  onError?: (error: Error) => void;
}

const REAP_BATCH = 100;
/** Requests come one by one: while a step is under way they gather for the next, so that a busy region does fewer and larger ones. */
const SUBMITS = { most: 50, atOnce: 1 };

/** A queue on Redis (7 or newer). Every step is one Lua script; see the head of each. */
export function createRedisQueue(options: RedisQueueOptions): Queue {
  const { url, region, leaseMs = 10_000, onDisk = false, onError = () => {} } = options;
  const { maxAttempts = MAX_ATTEMPTS, maxStalls = MAX_STALLS, retry = {} } = options;
  const redis = openConnection(url, onError);
  const events = createRedisEvents(url, onError);
  const closed = new AbortController();

  // After each new connection: it may lead to another Redis, set up in another way.
  let safe: Promise<void> = Promise.resolve();
  function check(): void {
    safe = checkSafety(redis, { onDisk });
    safe.catch(onError);
  }
  redis.on("ready", check);
  /** Rejects while Redis must not be used; one that was mended is used again. */
  async function assertSafe(): Promise<void> {
    try {
      await safe;
    } catch (error) {
      // Anything else than that it is unsafe is a matter of the connection, and shows with the command itself.
      if (!(error instanceof QueueUnsafeError)) return;
      check();
      await safe;
    }
  }
  const connected = firstConnection(redis);
  const runScript = createRedisScripts(redis, () => options.now?.() ?? "");
  const script: RunScript = async (name, args) => {
    await connected;
    await assertSafe();
    return runScript(name, args);
  };

  const submitAll = coalesce(async (jobs: { spec: JobSpec; estimateS: number }[]) => {
    const args = jobs.flatMap(({ spec, estimateS }) => [
      spec.id,
      spec.dispatch,
      JSON.stringify(spec),
      spec.tenant_id,
      laneOf(spec),
      Math.max(1, Math.round(estimateS * 1000)),
      termsOf(spec),
    ]);
    return pairs<"queued" | "duplicate" | "stale", number>(
      await script("submit", [jobs.length, ...args]),
    );
  }, SUBMITS);
  const renewAll = coalesce(async (runs: Run[]) =>
    pairs<number, 0 | 1>(await script("renew", [leaseMs, runs.length, ...runs.flatMap(named)])),
  );
  const finishAll = coalesce(async (ends: { run: Run; payload: string }[]) => {
    const args = ends.flatMap(({ run, payload }) => [...named(run), payload]);
    return (await script("finish", [ends.length, ...args])) as ("offered" | "fenced")[];
  });

  /** The queue's time: as it was when the run was claimed, and what has passed since. Our own clock may be wrong. */
  const claimedAt = new WeakMap<Run, number>();
  function timeOf(run: Run): number {
    const since = claimedAt.get(run);
    if (options.now || since === undefined) return options.now?.() ?? Date.now();
    return Math.round(run.startedAtMs + performance.now() - since);
  }

  const claimMany = createRedisClaims({
    script,
    onWork: events.onWork,
    closed: closed.signal,
    leaseMs,
    reap,
    onClaimed: (run) => void claimedAt.set(run, performance.now()),
    async onUnreadable(run) {
      const reason = "its specification could not be read";
      const end = unreadable({ ...run, region, finishedAtMs: run.startedAtMs });
      // Should this fail, the lease runs out, and the next claim tries again.
      await giveUp(run, { pauseMs: 0, attempts: 0, reason, end }).catch(onError);
    },
  });

  /** Ends an attempt by an error. */
  async function giveUp(
    run: Run,
    how: { pauseMs: number; attempts: number; reason: string; end: Completion },
  ): Promise<ReleaseOutcome> {
    const { pauseMs, attempts, reason, end } = how;
    const record = JSON.stringify(recordOf(run, "error", reason, timeOf(run)));
    const code = end.offer.error?.code ?? "internal";
    const outcome = (await script("release", [
      ...named(run),
      "error",
      pauseMs,
      attempts,
      record,
      packEndedRun(end),
      code,
      reason,
    ])) as "requeued" | "failed" | "fenced" | "canceling";
    return outcome === "canceling" ? endAs(run, "canceled") : outcome;
  }

  async function endAs(run: Run, as: "canceled" | "deadline_exceeded"): Promise<ReleaseOutcome> {
    const end = as === "canceled" ? canceled : overdue;
    const payload = packEndedRun(end({ ...run, region, finishedAtMs: timeOf(run) }));
    return (await finishAll({ run, payload })) === "offered" ? as : "fenced";
  }

  async function reapOne(row: string[]): Promise<ReapedRun | undefined> {
    const [kind, jobId, dispatch, attempt, text, tenantId, startedAt, workerId] = row as DueRow;
    const [stalls, cancelAsked, at] = row.slice(8) as [string, string, string];
    const job = { id: jobId, tenantId, dispatch: Number(dispatch) || 1 };
    const { spec } = readSpec(text, job);
    const finishedAtMs = Number(at);
    if (kind === "overdue") {
      const epoch = { dispatch: job.dispatch, attempt: Number(attempt) + 1 };
      const end = overdue({ spec, epoch, region, startedAtMs: finishedAtMs, finishedAtMs });
      const ended = await script("end-waiting", [jobId, dispatch, attempt, packEndedRun(end)]);
      return ended === 1 ? { jobId, epoch, outcome: "deadline_exceeded" } : undefined;
    }
    const epoch = { dispatch: job.dispatch, attempt: Number(attempt) };
    const run = { workerId, spec, epoch, startedAtMs: Number(startedAt) };
    const record = recordOf(run, "stalled", STALLED, finishedAtMs);
    const ending = { ...run, region, finishedAtMs };
    const last = Number(stalls) + 1 >= maxStalls;
    const end = cancelAsked !== "" ? canceled(ending) : exhausted({ ...ending, reason: STALLED });
    const dead = cancelAsked === "" ? ["job_attempts_exhausted", STALLED] : ["", ""];
    const ends = last || cancelAsked !== "";
    const args = [jobId, dispatch, attempt, ends ? "end" : "requeue", JSON.stringify(record)];
    const outcome = await script("reap", [...args, packEndedRun(end), ...dead]);
    if (outcome === "requeued") return { jobId, epoch, outcome: "requeued" };
    if (outcome !== "ended") return undefined;
    return { jobId, epoch, outcome: cancelAsked === "" ? "failed" : "canceled" };
  }

  async function reap(): Promise<ReapedRun[]> {
    const rows = (await script("due", [REAP_BATCH])) as string[][];
    const reaped = await Promise.all(rows.map(reapOne));
    return reaped.filter((run) => run !== undefined);
  }

  async function look(jobId: string, tellChanges: boolean): Promise<JobSnapshot | undefined> {
    const reply = (await script("state", [jobId, tellChanges ? "1" : ""])) as [] | StateRow;
    if (reply.length === 0) return undefined;
    const [tenantId, dispatch, attempt, status, startedAt, progress, version, position] = reply;
    return {
      tenantId,
      version,
      state: {
        // Offered is not final: only the ledger's word makes it so.
        status: status === "offered" ? "running" : (status as JobStatus),
        epoch: { dispatch, attempt },
        ...(startedAt === "" ? {} : { started_at: new Date(Number(startedAt)).toISOString() }),
        ...(status === "queued" ? { queue_position: position } : {}),
        ...(progress === "" ? {} : { progress: Number(progress) }),
      },
    };
  }

  function taken(spec: JobSpec, outcome: string, position: number): SubmitOutcome {
    if (outcome === "stale") throw new StaleDispatchError(spec.id, spec.dispatch);
    return { duplicate: outcome === "duplicate", queue_position: position };
  }

  return {
    async submit(spec, { estimateS = DEFAULT_ESTIMATE_S } = {}) {
      const [outcome, position] = await submitAll({ spec, estimateS });
      return taken(spec, outcome, position);
    },

    async submitFinished(spec, complete) {
      const epoch = { dispatch: spec.dispatch, attempt: 1 };
      const startedAtMs = options.now?.() ?? Date.now();
      const outcome = await script("submit-finished", [
        spec.id,
        spec.dispatch,
        JSON.stringify(spec),
        spec.tenant_id,
        laneOf(spec),
        packEndedRun(complete({ spec, epoch, startedAtMs })),
      ]);
      return taken(spec, outcome as string, 0);
    },

    claimMany,
    async claim(terms) {
      return (await claimMany({ ...terms, max: 1 }))[0];
    },

    async renew(run): Promise<Renewal | undefined> {
      const [leaseExpiresAtMs, cancelAsked] = await renewAll(run);
      if (leaseExpiresAtMs === 0) return undefined;
      return { leaseExpiresAtMs, cancelRequested: cancelAsked === 1 };
    },

    async progress(run, fraction) {
      return (await script("progress", [...named(run), fraction])) === 1;
    },

    finish: (run, completion) => finishAll({ run, payload: packEndedRun(completion) }),

    async release(run, how) {
      if (how.because === "cancel") return endAs(run, "canceled");
      if (how.because === "deadline") return endAs(run, "deadline_exceeded");
      if (how.because === "drain") {
        const outcome = await script("release", [...named(run), "drain"]);
        return outcome === "canceling" ? endAs(run, "canceled") : (outcome as ReleaseOutcome);
      }
      const { code, retryable, reason } = how;
      const ending = { ...run, region, finishedAtMs: timeOf(run) };
      return giveUp(run, {
        pauseMs: retryPauseMs(code, run.triedBefore, retry),
        attempts: retryable ? maxAttempts : 0,
        reason,
        end: retryable
          ? exhausted({ ...ending, reason })
          : failed({ ...ending, code, detail: reason }),
      });
    },

    async cancel(jobId) {
      for (;;) {
        const reply = (await script("cancel", [jobId])) as string[];
        const [found, dispatch, attempt, text, at, tenantId] = reply as [string, ...string[]];
        if (found !== "waiting") return found as CancelOutcome;
        const job = { id: jobId, tenantId: tenantId!, dispatch: Number(dispatch) };
        const { spec } = readSpec(text!, job);
        const epoch = { dispatch: Number(dispatch), attempt: Number(attempt) + 1 };
        const times = { startedAtMs: Number(at), finishedAtMs: Number(at) };
        const end = packEndedRun(canceled({ spec, epoch, region, ...times }));
        // Else it was claimed in between.
        if ((await script("end-waiting", [jobId, dispatch!, attempt!, end])) === 1) {
          return "canceled";
        }
      }
    },
    onCancel: (jobId, listener) => events.onCancel(jobId, listener),

    reap,

    state: (jobId) => look(jobId, false),
    watch: (jobId, { afterVersion, signal }) =>
      watchJob({
        look: () => look(jobId, true),
        listen: (listener) => events.onChange(jobId, listener),
        ...(afterVersion === undefined ? {} : { afterVersion }),
        signal: AbortSignal.any([signal, closed.signal]),
      }),

    async load() {
      const [running, delayed, dead, newer, ...rest] = (await script("load", [])) as number[];
      const classes = Object.fromEntries(
        priorities.map((priority) => [priority, { jobs: 0, computeS: 0, oldestWaitMs: 0 }]),
      ) as Record<Priority, ClassLoad>;
      for (let lane = 1; lane <= lanes.length; lane++) {
        const [jobs, cost, oldest] = rest.slice(3 * (lane - 1)) as [number, number, number];
        const load = classes[classOf(lane)];
        load.jobs += jobs;
        load.computeS = Math.round(load.computeS * 1000 + cost) / 1000;
        load.oldestWaitMs = Math.max(load.oldestWaitMs, oldest);
      }
      const all = Object.values(classes);
      return {
        waiting: all.reduce((sum, { jobs }) => sum + jobs, 0),
        computeS: Math.round(all.reduce((sum, { computeS }) => sum + computeS * 1000, 0)) / 1000,
        running: running!,
        delayed: delayed!,
        dead: dead!,
        newer: newer!,
        classes,
      };
    },

    async reportLoad(report) {
      await script("report-load", [report.worker_id, report.ttl_ms, JSON.stringify(report)]);
    },
    async workers() {
      const [nowMs, ...rows] = (await script("workers", [])) as [number, ...string[]];
      const workers = rows.flatMap((row) => {
        const bar = row.indexOf("|");
        const report = WorkerLoad.safeParse({
          ...(JSON.parse(row.slice(bar + 1)) as object),
          reported_at_ms: Number(row.slice(0, bar)),
        });
        // One of another version says nothing that we understand.
        return report.success ? [report.data] : [];
      });
      return {
        nowMs,
        workers: workers.toSorted((a, b) => (a.worker_id < b.worker_id ? -1 : 1)),
      };
    },

    deadLetters: createRedisDeadLetters(redis, script),

    async ping() {
      await assertSafe();
      await redis.ping();
    },

    async close() {
      closed.abort();
      redis.disconnect();
      events.close();
    },
  };
}

type StateRow = [string, number, number, string, string, string, number, number];
type DueRow = ["stalled" | "overdue", string, string, string, string, string, string, string];

/** A row keeps a limit in 32 bits. */
const MOST_CAP = 2 ** 31;

/** What few jobs have, for submit.lua. */
function termsOf({ v, tenant, deadline_at, not_before }: JobSpec): string {
  const cap = tenant?.max_concurrent && Math.min(tenant.max_concurrent, MOST_CAP);
  const terms = [cap, msOf(deadline_at), msOf(not_before)];
  if (v === 1 && terms.every((term) => term === undefined)) return "";
  return [v, ...terms.map((term) => term ?? 0)].join(" ");
}
const msOf = (at: string | undefined) =>
  at === undefined ? undefined : Math.max(1, Date.parse(at));

const named = ({ spec, epoch }: Run) => [spec.id, epoch.dispatch, epoch.attempt];

function pairs<A, B>(reply: unknown): [A, B][] {
  const list = reply as (A | B)[];
  return Array.from({ length: list.length / 2 }, (_, n) => [
    list[2 * n] as A,
    list[2 * n + 1] as B,
  ]);
}

function recordOf(
  run: Pick<Run, "epoch" | "startedAtMs" | "workerId">,
  how: AttemptRecord["how"],
  reason: string,
  endedAtMs: number,
): AttemptRecord {
  const time = (ms: number) => new Date(ms).toISOString();
  return {
    attempt: run.epoch.attempt,
    worker_id: run.workerId,
    started_at: time(run.startedAtMs),
    ended_at: time(Math.max(run.startedAtMs, endedAtMs)),
    how,
    reason,
  };
}
