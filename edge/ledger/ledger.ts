import { DurableObject } from "cloudflare:workers";
import type { CompletionOffer, CompletionVerdict } from "../../shared/contracts/completion.ts";
import { findRegion } from "../../shared/contracts/regions.ts";
import { readEdgeConfig, type EdgeBindings, type EdgeConfig } from "../env.ts";
import { createCallRegion, type CallRegion } from "../forward/call-region.ts";
import { cancelInRegion } from "../forward/cancel-in-region.ts";
import { submitJob } from "../forward/submit-job.ts";
import { describeError, log } from "../ops/log.ts";
import { createAlarmClock, type AlarmClock } from "./alarm-clock.ts";
import type { JobDraft, LedgerJob } from "./ledger-job.ts";
import { createLedgerStore, RESUBMIT_AFTER_MS, type LedgerStore } from "./ledger-store.ts";

const ALARM_BATCH = 50;
/** Open connections that a Worker may have at once. */
const ALARM_PARALLEL = 6;
const MAX_WAITERS = 1_000;

/**
 * One shard of the ledger: the record of reserved and accepted jobs, and of the one final state of each.
 * Dispatch numbers come from here alone.
 */
export class Ledger extends DurableObject<EdgeBindings> {
  /** Held by tests, as is `config`; otherwise the wall clock and the environment. */
  now: () => number = () => Date.now();
  config: () => EdgeConfig = () => readEdgeConfig(this.env);
  readonly #store: LedgerStore;
  readonly #clock: AlarmClock;
  /** Callbacks by job; gone with the object, after which its callers poll. */
  readonly #waiters = new Map<string, Set<() => void>>();
  #waiting = 0;

  constructor(ctx: DurableObjectState, env: EdgeBindings) {
    super(ctx, env);
    this.#store = createLedgerStore(ctx.storage.sql, () => this.now());
    this.#clock = createAlarmClock(ctx.storage);
  }

  async reserve(draft: JobDraft, region: string): Promise<LedgerJob> {
    const job = this.#store.reserve(draft, region);
    if (job.state === "reserved") await this.#clock.wakeBy(this.now() + RESUBMIT_AFTER_MS);
    return job;
  }

  /** `completion`: how the dispatch ended, where its region says so with its acceptance; the job is final then. */
  async accept(
    jobId: string,
    dispatch: number,
    completion?: CompletionOffer,
  ): Promise<LedgerJob | null> {
    const job = this.#store.accept(jobId, dispatch);
    if (completion === undefined) return job;
    await this.complete([completion]);
    return this.#store.find(jobId);
  }

  async refuse(jobId: string, dispatch: number): Promise<boolean> {
    return this.#store.refuse(jobId, dispatch);
  }

  async newDispatch(jobId: string, region: string): Promise<LedgerJob | null> {
    return this.#store.redispatch(jobId, region);
  }

  /**
   * Ends a job as canceled whose region cannot be asked; the region is told when it is back, and its other ends of the job are
   * superseded. The job as it is now: one that had ended stays as it was.
   */
  async cancel(jobId: string): Promise<LedgerJob | null> {
    if (this.#store.cancel(jobId)) {
      const next = this.#store.nextDue();
      if (next !== undefined) await this.#clock.wakeBy(next);
      this.#wake(jobId);
    }
    return this.#store.find(jobId);
  }

  async status(jobId: string): Promise<LedgerJob | null> {
    return this.#store.find(jobId);
  }

  /** Verdicts in the order of the offers, all written together. */
  async complete(offers: CompletionOffer[]): Promise<CompletionVerdict["verdict"][]> {
    const verdicts = offers.map((offer) => this.#store.complete(offer));
    const next = this.#store.nextDue();
    if (next !== undefined) await this.#clock.wakeBy(next);
    for (const [i, offer] of offers.entries()) {
      if (verdicts[i] === "accepted") this.#wake(offer.job_id);
    }
    return verdicts;
  }

  /** The job once it is final, or as it is after `ms`, whichever comes first. */
  async wait(jobId: string, ms: number): Promise<LedgerJob | null> {
    const job = this.#store.find(jobId);
    if (!job || job.state === "final" || ms <= 0 || this.#waiting >= MAX_WAITERS) return job;
    const waiters = this.#waiters.get(jobId) ?? new Set<() => void>();
    this.#waiters.set(jobId, waiters);
    let wake: () => void = () => undefined;
    let timer: ReturnType<typeof setTimeout> | null = null;
    this.#waiting++;
    try {
      await new Promise<void>((resolve) => {
        wake = resolve;
        waiters.add(wake);
        timer = setTimeout(resolve, ms);
      });
    } finally {
      clearTimeout(timer);
      this.#waiting--;
      waiters.delete(wake);
      if (waiters.size === 0) this.#waiters.delete(jobId);
    }
    return this.#store.find(jobId);
  }

  /** Submits unresolved reservations again and tells regions of cancels that they missed, a bounded batch at a time; never throws, so it always comes again. */
  override async alarm(): Promise<void> {
    this.#clock.rang();
    try {
      const due = this.#store.takeDue(ALARM_BATCH);
      const reserved = due.filter(({ state }) => state === "reserved");
      const canceled = due.filter(({ state }) => state === "final");
      if (reserved.length > 0) await this.#resubmit(reserved);
      if (canceled.length > 0) await this.#tellOfCancels(canceled);
    } catch (error) {
      log("error", "the ledger's alarm failed", { error: describeError(error) });
    } finally {
      const next = this.#store.nextDue();
      // At the soonest in a second: a backlog must not keep the object from answering.
      if (next !== undefined) await this.#clock.wakeBy(Math.max(next, this.now() + 1_000));
    }
  }

  async #resubmit(jobs: LedgerJob[]): Promise<void> {
    const callRegion = createCallRegion({ config: this.config() });
    const counts = { accepted: 0, refused: 0, unresolved: 0 };
    const queue = jobs.values();
    const runner = async () => {
      for (const job of queue) counts[await this.#resubmitOne(callRegion, job)]++;
    };
    await Promise.all(Array.from({ length: Math.min(ALARM_PARALLEL, jobs.length) }, runner));
    log("info", "submitted unresolved reservations again", counts);
  }

  async #tellOfCancels(jobs: LedgerJob[]): Promise<void> {
    const callRegion = createCallRegion({ config: this.config() });
    const queue = jobs.values();
    const runner = async () => {
      for (const job of queue) {
        const region = findRegion(job.region);
        const outcome = region && (await cancelInRegion(callRegion, region, job));
        // One that refuses does not have the job.
        if (!region || outcome?.kind === "done" || outcome?.kind === "refused") {
          this.#store.told(job.draft.id);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(ALARM_PARALLEL, jobs.length) }, runner));
  }

  async #resubmitOne(
    callRegion: CallRegion,
    job: LedgerJob,
  ): Promise<"accepted" | "refused" | "unresolved"> {
    const region = findRegion(job.region);
    const outcome = region && (await submitJob(callRegion, region, job));
    if (outcome?.kind === "done") {
      await this.accept(job.draft.id, job.dispatch, outcome.value.completion);
      return "accepted";
    }
    if (outcome?.kind === "refused") {
      this.#store.refuse(job.draft.id, job.dispatch);
      return "refused";
    }
    return "unresolved";
  }

  #wake(jobId: string): void {
    for (const wake of this.#waiters.get(jobId) ?? []) wake();
  }
}
