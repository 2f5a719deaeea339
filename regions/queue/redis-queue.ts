import { Redis } from "ioredis";
import type { JobStatus, JobSpec } from "../../shared/contracts/job.ts";
import { priorities } from "../../shared/contracts/job.ts";
import { firstConnection } from "../ops/first-connection.ts";
import { claimOrder } from "./claim-order.ts";
import { exhausted } from "./exhausted.ts";
import { queueKeys } from "./queue-keys.ts";
import { MAX_ATTEMPTS, StaleDispatchError } from "./queue-port.ts";
import type { Queue, ReapedRun, ReleaseOutcome, Run } from "./queue-port.ts";
import { createRedisScripts } from "./redis-scripts.ts";

export interface RedisQueueOptions {
  url: string;
  region: string;
  leaseMs?: number;
  maxAttempts?: number;
  /** Unix ms; without it Redis's own clock holds for all. For tests. */
  now?: () => number;
  /** Told of connection errors; the queue reconnects by itself. */
  onError?: (error: Error) => void;
}

const WAIT_MS = 2000;
const COMMAND_TIMEOUT_MS = 5000;
const REAP_BATCH = 100;

/** A queue on Redis Streams (Redis 7 or newer). Every step is one Lua script; see the head of each. */
export function createRedisQueue(options: RedisQueueOptions): Queue {
  const { url, region, leaseMs = 10_000, maxAttempts = MAX_ATTEMPTS, onError = () => {} } = options;
  const connection = {
    // Fail at once instead of queueing: a claim sent again after a reconnect would take a lease for nobody.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (times: number) => Math.min(1000, 50 * times),
  };
  const redis = new Redis(url, { ...connection, commandTimeout: COMMAND_TIMEOUT_MS });
  // Its own connection, because a blocking read holds up everything behind it.
  const waiter = new Redis(url, { ...connection, commandTimeout: WAIT_MS + COMMAND_TIMEOUT_MS });
  redis.on("error", onError);
  waiter.on("error", onError);
  const connected = Promise.all([firstConnection(redis), firstConnection(waiter)]);
  const runScript = createRedisScripts(redis);
  const script: typeof runScript = async (...call) => {
    await connected;
    return runScript(...call);
  };

  const lines = priorities.map((priority) => queueKeys.ready(priority));
  const now = () => options.now?.() ?? "";
  const whole = (jobId: string) => [queueKeys.job(jobId), queueKeys.leases, ...lines];
  const held = (run: Run) => [queueKeys.job(run.spec.id), queueKeys.leases];
  const returned = (spec: JobSpec) => [
    queueKeys.job(spec.id),
    queueKeys.ready(spec.priority),
    queueKeys.leases,
    queueKeys.offers,
  ];
  const named = ({ spec, epoch }: Run) => [now(), spec.id, epoch.dispatch, epoch.attempt];

  let claims = 0;
  let waiting: Promise<unknown> | undefined;

  /** Until some line has an entry. What is claimed leaves its line, so reading from the start misses nothing. */
  function somethingWaits(): Promise<unknown> {
    waiting ??= waiter
      .xread("COUNT", 1, "BLOCK", WAIT_MS, "STREAMS", ...lines, ...lines.map(() => "0-0"))
      .finally(() => {
        waiting = undefined;
      });
    return waiting;
  }

  async function tryClaim(workerId: string): Promise<Run | undefined> {
    const order = claimOrder(claims).map((priority) => queueKeys.ready(priority));
    const reply = (await script(
      "claim",
      [queueKeys.leases, ...order],
      [now(), leaseMs, workerId, queueKeys.jobPrefix],
    )) as [] | [string, number, number, number, number, number];
    if (reply.length === 0) return undefined;
    claims++;
    const [spec, dispatch, attempt, triedBefore, startedAtMs, leaseExpiresAtMs] = reply;
    return {
      spec: JSON.parse(spec) as JobSpec,
      epoch: { dispatch, attempt },
      triedBefore,
      startedAtMs,
      leaseExpiresAtMs,
    };
  }

  async function reapOne(fields: string[]): Promise<ReapedRun | undefined> {
    const [jobId, dispatch, attempt, json, startedAt, at] = fields as [
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    const spec = json === "" ? undefined : (JSON.parse(json) as JobSpec);
    const epoch = { dispatch: Number(dispatch), attempt: Number(attempt) };
    const failure = spec
      ? exhausted({
          spec,
          epoch,
          region,
          startedAtMs: Number(startedAt),
          finishedAtMs: Number(at),
          reason: "the worker stopped answering",
        })
      : {};
    const keys = spec
      ? returned(spec)
      : [queueKeys.job(jobId), lines[0]!, queueKeys.leases, queueKeys.offers];
    const outcome = (await script("reap", keys, [
      now(),
      jobId,
      dispatch,
      attempt,
      maxAttempts,
      JSON.stringify(failure),
    ])) as any;
    return outcome === "kept" ? undefined : { jobId, epoch, outcome };
  }

  // On its way to the whole port.
  return {
    async submit(spec: JobSpec) {
      const line = 3 + priorities.indexOf(spec.priority);
      const [outcome, position] = (await script("submit", whole(spec.id), [
        spec.id,
        spec.dispatch,
        JSON.stringify(spec),
        line,
      ])) as ["queued" | "duplicate" | "stale", number];
      if (outcome === "stale") throw new StaleDispatchError(spec.id, spec.dispatch);
      return { duplicate: outcome === "duplicate", queue_position: position };
    },

    async claim({ workerId, signal }) {
      const aborted = Promise.withResolvers<void>();
      const abort = () => aborted.resolve();
      signal.addEventListener("abort", abort, { once: true });
      try {
        while (!signal.aborted) {
          const run = await tryClaim(workerId);
          if (run) return run;
          // The read goes on without us after an abort; it takes nothing, so that does no harm.
          await Promise.race([somethingWaits(), aborted.promise]);
        }
        return undefined;
      } finally {
        signal.removeEventListener("abort", abort);
      }
    },

    async renew(run) {
      const expires = (await script("renew", held(run), [...named(run), leaseMs])) as number;
      return expires === 0 ? undefined : { leaseExpiresAtMs: expires, cancelRequested: false };
    },

    async progress(run, fraction) {
      return (await script("progress", held(run), [...named(run), fraction])) === 1;
    },

    async finish(run, completion) {
      return (await script(
        "finish",
        [...held(run), queueKeys.offers],
        [...named(run), JSON.stringify(completion)],
      )) as "offered" | "fenced";
    },

    async release(run, options) {
      const countAttempt = options.because === "error";
      const reason = options.because === "error" ? options.reason : "the worker stopped";
      const failure = exhausted({ ...run, region, finishedAtMs: Date.now(), reason });
      return (await script("release", returned(run.spec), [
        ...named(run),
        countAttempt ? "1" : "0",
        maxAttempts,
        JSON.stringify(failure),
      ])) as ReleaseOutcome;
    },

    async reap() {
      const expired = (await script(
        "expired",
        [queueKeys.leases],
        [now(), REAP_BATCH, queueKeys.jobPrefix],
      )) as string[][];
      const reaped = await Promise.all(expired.map(reapOne));
      return reaped.filter((run) => run !== undefined);
    },

    async state(jobId) {
      const reply = (await script("state", whole(jobId), [])) as
        | []
        | [string, string, string, string, string, string, number];
      if (reply.length === 0) return undefined;
      const [json, dispatch, attempt, status, startedAt, progress, position] = reply;
      const spec = JSON.parse(json) as JobSpec;
      return {
        tenantId: spec.tenant_id,
        state: {
          // Offered is not final: only the ledger's word makes it so.
          status: status === "offered" ? "running" : (status as JobStatus),
          epoch: { dispatch: Number(dispatch), attempt: Number(attempt) },
          ...(startedAt === "" ? {} : { started_at: new Date(Number(startedAt)).toISOString() }),
          ...(status === "queued" ? { queue_position: position } : {}),
          ...(progress === "" ? {} : { progress: Number(progress) }),
        },
      };
    },

    async load() {
      const [running, ...waitingJobs] = await Promise.all([
        redis.zcard(queueKeys.leases),
        ...lines.map((line) => redis.xlen(line)),
      ]);
      return { running: running!, waiting: waitingJobs.reduce((sum, jobs) => sum + jobs, 0) };
    },

    async ping() {
      await redis.ping();
    },

    async close() {
      redis.disconnect();
      waiter.disconnect();
      await waiting?.catch(() => undefined);
    },
  } as Partial<Queue> as Queue;
}
