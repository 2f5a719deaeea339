import { setTimeout as sleep } from "node:timers/promises";
import type { JobSpec } from "../../shared/contracts/job.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import { coalesce } from "./coalesce.ts";
import { canceled, failed } from "./completion.ts";
import { exhausted, overdue, STALLED, unreadable } from "./endings.ts";
import { lanes } from "./lanes.ts";
import { DEFAULT_ESTIMATE_S, MAX_ATTEMPTS, MAX_STALLS } from "./queue-port.ts";
import type {
  AttemptRecord,
  ClaimOptions,
  Completion,
  DeadLetter,
  JobSnapshot,
  Queue,
  ReleaseOptions,
  ReleaseOutcome,
  Run,
} from "./queue-port.ts";
import { readSpec, SPEC_VERSION } from "./read-spec.ts";
import { retryPauseMs, type RetryPauses } from "./retry-pause.ts";
import { createSqsCalls, MOST_BYTES, MOST_MESSAGES } from "./sqs-calls.ts";
import type { SqsMessage, SqsOptions } from "./sqs-calls.ts";
import { createSqsDeadLetters, letterId } from "./sqs-dead-letters.ts";
import { countLoad } from "./sqs-load.ts";
import { looksFor } from "./sqs-looks.ts";
import { afterError, afterReceives, judge, messageText, newJob, readJob } from "./sqs-message.ts";
import type { QueuedJob } from "./sqs-message.ts";

export interface SqsQueueOptions extends SqsOptions {
  /** Whole seconds are SQS's own measure: a lease of 1.5 s keeps a dead worker's job for two. */
  leaseMs?: number;
  maxAttempts?: number;
  maxStalls?: number;
  retry?: RetryPauses;
  /** Unix ms. */
  now?: () => number;
  /** Hears of what went wrong beside a call, such as a message that could not be removed and will come again. */
  onError?: (error: unknown) => void;
}

/** A worker that found nothing looks again after a pause that grows between these. */
const LOOK_AGAIN_MS = { first: 50, most: 1000 };
/** A job of a version that its finder does not know is held back for so long, for others to find. */
const NEWER_PAUSE_MS = 2000;
/** Runs whose lease has been over for so many leases are forgotten. */
const REMEMBERED_LEASES = 10;

/** A run of this process: only who received a message can do anything with it. */
interface Held {
  lane: number;
  handle: string;
  /** As it is to be sent again, should it be. */
  job: QueuedJob;
  leaseExpiresAtMs: number;
  /** Its end is under way, or over. */
  ending?: Promise<unknown>;
  offered?: boolean;
}

/**
 * A queue on Amazon SQS, for a region without a Redis of its own: a standard queue for each lane (classes, VIP tenants apart), with the
 * tenant as message group, which SQS shares fairly by. `createSqsQueues` makes them.
 *
 * A claim is a receive, its lease the visibility timeout, and its attempt follows from the count of receives. Any step of two calls (an
 * end: the offer, then the removal; a hand-back: the new message, then the removal) may break off between them, and then the job
 * runs once more, under a later attempt: the ledger takes one end. Jobs past their deadline, or lost by too many workers, are
 * ended by whoever receives them next. Receives do not wait at SQS: a wait that is broken off there may take a message along
 * that nobody gets before its lease is over. An idle worker makes six calls a second.
 *
 * What SQS cannot do, and this queue therefore does not:
 * - know a job by its id. It takes a dispatch as often as it is submitted, lets no newer one revoke an older, cancels nothing
 *   (`unknown`), and has neither state, place, progress nor events to tell. The ledger fences, and ends what is canceled;
 * - fence. A lease is over by the clock of the worker that has it, counted from before the call: another may have the job from then
 *   on, but nothing holds a worker with a wrong clock off. Receives are counted "approximately", and a message may be delivered twice:
 *   rarely two runs may bear one epoch, which the ledger cannot tell apart;
 * - order. Jobs of a lane come about in order of arrival, and what was handed back comes last. Tenants share by message groups, as SQS
 *   sees fit: not by compute-seconds, and without limits of their own. Nothing can be passed over: `maxEstimateS` is ignored;
 * - say what expired: `reap` does nothing, and the history of a job does not know whose attempts were lost;
 * - count to the end. `load` is approximate, and knows neither compute-seconds nor ages (CloudWatch has the oldest);
 * - keep anything beside messages: reports of workers are dropped, and what nobody fetched for 14 days is gone;
 * - pauses other than of whole seconds (they are rounded up), nor beyond 15 minutes at once: what starts later is received and sent
 *   again until it is due. A run ends after 12 hours at the latest.
 */
export function createSqsQueue(options: SqsQueueOptions): Queue {
  const { region, leaseMs = 10_000, retry = {}, now = Date.now } = options;
  const { maxAttempts = MAX_ATTEMPTS, maxStalls = MAX_STALLS } = options;
  const { onError = () => undefined } = options;
  const calls = createSqsCalls(options);
  const leaseS = Math.ceil(leaseMs / 1000);
  const runs = new Map<string, Held>();
  const closed = new AbortController();
  let turn = 0;

  const named = ({ spec, epoch }: Run) => `${spec.id}/${epoch.dispatch}/${epoch.attempt}`;
  /** The run's, if it has its lease and its end has not begun. */
  function holder(run: Run): Held | undefined {
    const held = runs.get(named(run));
    return held && !held.ending && held.leaseExpiresAtMs > now() ? held : undefined;
  }
  function forget(): void {
    const before = now() - REMEMBERED_LEASES * leaseMs;
    for (const [name, { leaseExpiresAtMs }] of runs) {
      if (leaseExpiresAtMs < before) runs.delete(name);
    }
  }

  /** Takes a message away for good. Should that fail it comes again, and what then becomes of it is superseded. */
  const remove = (lane: number, handle: string) => calls.remove(lane, handle).catch(onError);
  const enqueue = (job: QueuedJob, delayMs: number) =>
    calls.send(job.lane, messageText(job), { group: job.tenantId, delayMs });
  const offer = (completion: Completion) => calls.send("offers", offerText(completion));
  async function bury(job: QueuedJob, end: Completion, reason: string): Promise<void> {
    const letter: Omit<DeadLetter, "id"> = {
      jobId: job.id,
      tenantId: job.tenantId,
      epoch: end.offer.epoch,
      at: new Date(now()).toISOString(),
      code: end.offer.error?.code ?? "internal",
      reason,
      history: job.history,
      spec: job.spec,
    };
    await calls.send("dead", messageText({ id: letterId(letter), ...letter }));
  }

  /** Does what ends a run, once; a step that failed may be tried again while the lease lasts. */
  async function end<T>(held: Held, step: () => Promise<T>): Promise<T> {
    const ending = step();
    held.ending = ending;
    try {
      const outcome = await ending;
      await remove(held.lane, held.handle);
      return outcome;
    } catch (error) {
      delete held.ending;
      throw error;
    }
  }
  const endingOf = (run: Run) => ({ ...run, region, finishedAtMs: now() });
  function endAs(held: Held, completion: Completion): Promise<"offered"> {
    return end(held, async () => {
      await offer(completion);
      held.offered = true;
      return "offered" as const;
    });
  }

  /** Ends an attempt by an error. */
  async function giveUp(
    held: Held,
    run: Run,
    how: { pauseMs: number; attempts: number; reason: string; completion: Completion },
  ): Promise<"requeued" | "failed"> {
    const { pauseMs, attempts, reason, completion } = how;
    const record: AttemptRecord = {
      attempt: run.epoch.attempt,
      worker_id: run.workerId,
      started_at: new Date(run.startedAtMs).toISOString(),
      ended_at: new Date(now()).toISOString(),
      how: "error",
      reason,
    };
    const job = afterError(held.job, record, now() + pauseMs);
    return end(held, async () => {
      if (job.tried < attempts) {
        await enqueue(job, pauseMs);
        return "requeued";
      }
      await offer(completion);
      await bury(job, completion, reason);
      return "failed";
    });
  }

  /** A run of what was received; undefined when it is not to run, here or now, which was seen to. */
  async function open(
    message: SqsMessage,
    lane: number,
    receivedAtMs: number,
    { workerId, maxVersion = SPEC_VERSION }: ClaimOptions,
  ): Promise<Run | undefined> {
    const sent = readJob(message.body);
    if (!sent) {
      // Perhaps of a later version of this code: it is left where it is.
      onError(new Error("a message on the queue is no job that is known here"));
      return undefined;
    }
    const job = afterReceives(sent, message.receives, receivedAtMs);
    const leaseExpiresAtMs = receivedAtMs + leaseMs;
    const held: Held = { lane, handle: message.handle, job, leaseExpiresAtMs };
    const { spec, unreadable: bad } = readSpec(job.spec, job);
    const run: Run = {
      workerId,
      spec,
      epoch: { dispatch: job.dispatch, attempt: job.base },
      triedBefore: job.tried,
      estimateS: job.costMs / 1000,
      startedAtMs: receivedAtMs,
      leaseExpiresAtMs,
      ...(job.deadlineMs === undefined ? {} : { deadlineInMs: job.deadlineMs - receivedAtMs }),
    };
    const verdict = judge(job, { nowMs: receivedAtMs, maxStalls, maxVersion });
    switch (verdict) {
      case "stalled": {
        const completion = exhausted({ ...endingOf(run), reason: STALLED });
        await end(held, async () => {
          await offer(completion);
          await bury(job, completion, STALLED);
        });
        return undefined;
      }
      case "overdue":
        await endAs(held, overdue(endingOf(run)));
        return undefined;
      case "early":
        await end(held, () => enqueue(job, (job.dueMs ?? 0) - receivedAtMs));
        return undefined;
      case "newer":
        await end(held, () => enqueue(job, NEWER_PAUSE_MS));
        return undefined;
      case "run":
        break;
    }
    if (bad) {
      const reason = "its specification could not be read";
      const completion = unreadable(endingOf(run));
      await giveUp(held, run, { pauseMs: 0, attempts: 0, reason, completion });
      return undefined;
    }
    runs.set(named(run), held);
    return run;
  }

  async function take(terms: ClaimOptions & { max: number }): Promise<Run[]> {
    const { max, signal } = terms;
    const taken: Run[] = [];
    const empty = new Set<number>();
    forget();
    for (const look of looksFor(turn, max)) {
      let left = Math.min(look.most, max - taken.length);
      for (const lane of look.lanes) {
        while (left > 0 && !empty.has(lane) && !signal.aborted) {
          // From before the call: by this clock the lease is over before it is by SQS's.
          const atMs = now();
          const messages = await calls.receive(lane, Math.min(MOST_MESSAGES, left), leaseS);
          if (messages.length === 0) empty.add(lane);
          const opened = await Promise.all(
            messages.map((message) =>
              open(message, lane, atMs, terms).catch((error: unknown) => {
                // The lease runs out, and the next claim tries again.
                onError(error);
                return undefined;
              }),
            ),
          );
          const found = opened.filter((run) => run !== undefined);
          taken.push(...found);
          left -= found.length;
        }
      }
    }
    turn += taken.length;
    return taken;
  }

  async function claimMany(terms: ClaimOptions & { max: number }): Promise<Run[]> {
    const signal = AbortSignal.any([terms.signal, closed.signal]);
    let pauseMs = LOOK_AGAIN_MS.first;
    while (!signal.aborted) {
      const taken = await take({ ...terms, signal });
      if (taken.length > 0) return taken;
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
      pauseMs = Math.min(LOOK_AGAIN_MS.most, 2 * pauseMs);
    }
    return [];
  }

  const renewers = new Map(
    lanes.map((_, index) => [
      index + 1,
      coalesce((handles: string[]) => calls.hide(index + 1, handles, leaseS), {
        most: MOST_MESSAGES,
      }),
    ]),
  );

  async function release(run: Run, how: ReleaseOptions): Promise<ReleaseOutcome> {
    const held = holder(run);
    if (!held) return "fenced";
    switch (how.because) {
      case "deadline":
        await endAs(held, overdue(endingOf(run)));
        return "deadline_exceeded";
      case "cancel":
        await endAs(held, canceled(endingOf(run)));
        return "canceled";
      case "drain":
        await end(held, () => enqueue(held.job, 0));
        return "requeued";
      case "error": {
        const { code, retryable, reason } = how;
        return giveUp(held, run, {
          pauseMs: retryPauseMs(code, run.triedBefore, retry),
          attempts: retryable ? maxAttempts : 0,
          reason,
          completion: retryable
            ? exhausted({ ...endingOf(run), reason })
            : failed({ ...endingOf(run), code, detail: reason }),
        });
      }
    }
  }

  return {
    async submit(spec: JobSpec, { estimateS = DEFAULT_ESTIMATE_S } = {}) {
      const job = newJob(spec, estimateS);
      if (Buffer.byteLength(messageText(job)) > MOST_BYTES) {
        throw new ApiError("body_too_large", `SQS takes jobs of up to ${MOST_BYTES} bytes.`);
      }
      await enqueue(job, Math.max(0, (job.dueMs ?? 0) - now()));
      return { duplicate: false, queue_position: 0 };
    },
    async submitFinished(spec, complete) {
      const epoch = { dispatch: spec.dispatch, attempt: 1 };
      await offer(complete({ spec, epoch, startedAtMs: now() }));
      return { duplicate: false, queue_position: 0 };
    },
    claimMany,
    async claim(terms) {
      return (await claimMany({ ...terms, max: 1 }))[0];
    },
    async renew(run) {
      const held = holder(run);
      if (!held) return undefined;
      const leaseExpiresAtMs = now() + leaseMs;
      if (!(await renewers.get(held.lane)!(held.handle))) return undefined;
      held.leaseExpiresAtMs = leaseExpiresAtMs;
      return { leaseExpiresAtMs, cancelRequested: false };
    },
    progress: async (run) => holder(run) !== undefined,
    async finish(run, completion) {
      const known = runs.get(named(run));
      // Asked twice at the same moment: the second waits for what the first comes to.
      if (known?.ending) await known.ending.catch(() => undefined);
      if (known?.offered) return "offered";
      const held = holder(run);
      return held ? endAs(held, completion) : "fenced";
    },
    release,
    cancel: async () => "unknown",
    onCancel: () => () => undefined,
    reap: async () => [],
    state: async () => undefined,
    watch: nothingToSee,
    load: () => countLoad(calls),
    reportLoad: async () => undefined,
    workers: async () => ({ nowMs: now(), workers: [] }),
    deadLetters: createSqsDeadLetters(calls),
    async ping() {
      await calls.count("offers");
    },
    async close() {
      closed.abort();
      calls.close();
    },
  };
}

async function* nothingToSee(): AsyncGenerator<JobSnapshot, void> {
  // Of a job that nobody knows there is nothing to tell.
}

/** A message with what a run came to. Where it is too long its result is left out: that lies under `result_key`. */
function offerText(completion: Completion): string {
  const text = messageText(completion);
  if (Buffer.byteLength(text) <= MOST_BYTES) return text;
  return messageText({ ...completion, envelope: { ...completion.envelope, result: null } });
}
