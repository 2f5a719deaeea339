import { DurableObject } from "cloudflare:workers";
import type { CompletionOffer, CompletionVerdict } from "../../shared/contracts/completion.ts";
import type { SettledJob } from "../../shared/contracts/internal-api.ts";
import { findRegion } from "../../shared/contracts/regions.ts";
import { ledgerShardName } from "../../shared/policies/ledger-shard.ts";
import { trustedViews, type VantageView } from "../../shared/policies/region-verdict.ts";
import { readEdgeConfig, type EdgeBindings, type EdgeConfig } from "../env.ts";
import { createCallRegion } from "../forward/call-region.ts";
import { revokeInRegion } from "../forward/revoke-in-region.ts";
import { cancelInRegion } from "../forward/cancel-in-region.ts";
import { describeError, log } from "../ops/log.ts";
import type { RegionProbes } from "../route/region-probes.ts";
import { createVantages } from "../route/vantages.ts";
import { createAlarmClock, type AlarmClock } from "./alarm-clock.ts";
import {
  createBatchStore,
  slotOf,
  type BatchCounts,
  type BatchHeader,
  type BatchItemState,
  type JobSlot,
} from "./batch-store.ts";
import { createForgotten, type Forget, type Forgotten } from "./forgotten.ts";
import type { JobDraft, LedgerJob } from "./ledger-job.ts";
import { createListJobs, type ListLedgerJobs } from "./list-jobs.ts";
import { createLedgerStore, RESUBMIT_AFTER_MS, type LedgerStore } from "./ledger-store.ts";
import { createPlaceJob } from "./place-job.ts";
import { createRevoked, type RevokedJob } from "./revoked.ts";
import { createRegistrations, REGISTERED_FOR_MS, type ShardIndex } from "./registrations.ts";

const ALARM_BATCH = 50;
/** Open connections that a Worker may have at once. */
const ALARM_PARALLEL = 6;
const MAX_WAITERS = 1_000;

/**
 * One shard of the ledger: the record of reserved and accepted jobs, and of the one final state of each.
 * Dispatch numbers come from here alone.
 */
export class Ledger extends DurableObject<EdgeBindings> {
  /** Held by tests, as are `config` and `look`; otherwise the wall clock, the environment and the probes. */
  now: () => number = () => Date.now();
  config: () => EdgeConfig = () => readEdgeConfig(this.env);
  look: () => Promise<VantageView[]> = () =>
    createVantages(
      this.env.REGION_PROBES as DurableObjectNamespace<RegionProbes>,
      this.config().regions,
    ).look();
  readonly #store: LedgerStore;
  readonly #forgotten: ReturnType<typeof createForgotten>;
  readonly #list: ReturnType<typeof createListJobs>;
  readonly #batches: ReturnType<typeof createBatchStore>;
  readonly #revoked: ReturnType<typeof createRevoked>;
  readonly #clock: AlarmClock;
  readonly #registrations: ReturnType<typeof createRegistrations>;
  /** Its own name, once a job has told it. */
  #name: string | undefined;
  /** Callbacks by job; gone with the object, after which its callers poll. */
  readonly #waiters = new Map<string, Set<() => void>>();
  #waiting = 0;

  constructor(ctx: DurableObjectState, env: EdgeBindings) {
    super(ctx, env);
    this.#store = createLedgerStore(ctx.storage.sql, () => this.now());
    this.#forgotten = createForgotten(ctx.storage.sql, () => this.now());
    this.#list = createListJobs(ctx.storage.sql);
    this.#batches = createBatchStore(ctx.storage.sql, () => this.now());
    this.#clock = createAlarmClock(ctx.storage);
    this.#revoked = createRevoked(ctx.storage.sql, () => this.now());
    this.#registrations = createRegistrations(
      ctx.storage.sql,
      { openRegions: () => new Set([...this.#store.openRegions(), ...this.#revoked.regions()]) },
      () => this.env.OPEN_SHARDS as DurableObjectNamespace<ShardIndex>,
    );
  }

  /** Null for a job that was deleted: by its id, or with all that its like had made until then; and for one that ended long ago. */
  async reserve(draft: JobDraft, region: string): Promise<LedgerJob | null> {
    if (this.#forgotten.isForgotten(draft)) return null;
    const job = this.#store.reserve(draft, region);
    if (!job) return null;
    if (job.state === "reserved") await this.#clock.wakeBy(this.now() + RESUBMIT_AFTER_MS);
    this.#register(job);
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

  /** Jobs, the newest first. */
  async list(query: ListLedgerJobs): Promise<LedgerJob[]> {
    return this.#list(query).flatMap((id) => this.#store.find(id) ?? []);
  }

  /** Deletes jobs for good: whatever still runs for them ends without a trace. */
  async forget(order: Forget): Promise<Forgotten> {
    const forgotten = this.#forgotten.forget(order);
    const next = this.#store.nextDue();
    if (next !== undefined) await this.#clock.wakeBy(next);
    for (const { id } of forgotten.jobs) this.#wake(id);
    return forgotten;
  }

  async refuse(jobId: string, dispatch: number): Promise<boolean> {
    return this.#store.refuse(jobId, dispatch);
  }

  async newDispatch(jobId: string, region: string): Promise<LedgerJob | null> {
    const job = this.#store.redispatch(jobId, region);
    if (job) this.#register(job);
    return job;
  }

  /** The region is declared lost: its accepted jobs go elsewhere, or wait, a bounded batch at a time. */
  async regionLost(region: string): Promise<void> {
    this.#store.hurry(region);
    await this.#wakeNext();
  }

  /**
   * The region is back: what waited is placed again, what it was given before is looked for there, and of what it has lost to others it
   * is told.
   */
  async regionBack(region: string): Promise<void> {
    this.#store.hurry(region);
    this.#revoked.hurry(region);
    await this.#wakeNext();
  }

  /**
   * Ends a job as canceled whose region cannot be asked; the region is told when it is back, and its other ends of the job are
   * superseded. The job as it is now: one that had ended stays as it was.
   */
  async cancel(jobId: string): Promise<LedgerJob | null> {
    if (this.#store.cancel(jobId)) {
      await this.#wakeNext();
      this.#wake(jobId);
    }
    return this.#store.find(jobId);
  }

  async status(jobId: string): Promise<LedgerJob | null> {
    return this.#store.find(jobId);
  }

  async knows(jobId: string): Promise<boolean> {
    return this.#store.knows(jobId);
  }

  /** Jobs whose rows are in the database: those that they tell all of are not described here any longer. How many that were. */
  async settle(jobs: SettledJob[]): Promise<number> {
    return jobs.filter((job) => this.#store.reduce(job)).length;
  }

  async openBatch(header: BatchHeader): Promise<void> {
    this.#batches.open(header);
  }

  async dropBatch(id: string): Promise<void> {
    this.#batches.drop(id);
  }

  async findBatch(id: string): Promise<BatchHeader | null> {
    return this.#forgotten.isForgotten({ id }) ? null : this.#batches.find(id);
  }

  async countBatch(id: string): Promise<BatchCounts> {
    return this.#batches.counts(id);
  }

  async listBatch(id: string, from: number, to: number): Promise<BatchItemState[]> {
    return this.#batches.items(id, from, to);
  }

  /** Jobs of one batch, all written together. Those that were deleted are left out. */
  async reserveMany(drafts: JobDraft[], region: string): Promise<JobSlot[]> {
    const jobs: LedgerJob[] = [];
    for (const draft of drafts) {
      if (this.#forgotten.isForgotten(draft)) continue;
      const job = this.#store.reserve(draft, region);
      if (!job) continue;
      jobs.push(job);
      this.#batches.add(draft);
    }
    await this.#wakeNext();
    if (jobs[0]) this.#register(jobs[0]);
    return jobs.map(slotOf);
  }

  async acceptMany(slots: JobSlot[]): Promise<JobSlot[]> {
    const jobs = slots.map(({ id, dispatch }) => this.#store.accept(id, dispatch));
    return jobs.filter((job) => job !== null).map(slotOf);
  }

  async newDispatches(jobIds: string[], region: string): Promise<JobSlot[]> {
    const found = jobIds.map((id) => this.#store.redispatch(id, region));
    const jobs = found.filter((job) => job !== null);
    if (jobs[0]) this.#register(jobs[0]);
    return jobs.map(slotOf);
  }

  async refuseMany(slots: JobSlot[]): Promise<void> {
    for (const { id, dispatch } of slots) this.#store.refuse(id, dispatch);
  }

  /** Verdicts in the order of the offers, all written together. */
  async complete(offers: CompletionOffer[]): Promise<CompletionVerdict["verdict"][]> {
    const verdicts = offers.map((offer) => this.#store.complete(offer));
    await this.#wakeNext();
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

  /**
   * Looks after open jobs that are due (reservations that nobody resolved, jobs whose region is lost or was not heard of for long), and
   * tells regions of cancels that they missed: a bounded batch at a time. Never throws, so it always comes again.
   */
  override async alarm(): Promise<void> {
    this.#clock.rang();
    try {
      const due = this.#store.takeDue(ALARM_BATCH);
      this.#batches.sweep();
      const open = due.filter(({ state }) => state !== "final");
      const canceled = due.filter(({ state }) => state === "final");
      if (open.length > 0) await this.#placeAll(open);
      if (canceled.length > 0) await this.#tellOfCancels(canceled);
      const revoked = this.#revoked.takeDue(ALARM_BATCH);
      if (revoked.length > 0) await this.#tellOfRevoked(revoked);
      const name = this.#ownName();
      if (name !== undefined) await this.#registrations.sync(name);
    } catch (error) {
      log("error", "the ledger's alarm failed", { error: describeError(error) });
    } finally {
      // At the soonest in a second: a backlog must not keep the object from answering.
      await this.#wakeNext(1_000);
    }
  }

  /** Sets the alarm for what is to be done next. */
  async #wakeNext(leastMs = 0): Promise<void> {
    const due = Math.min(
      this.#store.nextDue() ?? Number.POSITIVE_INFINITY,
      this.#revoked.nextDue() ?? Number.POSITIVE_INFINITY,
    );
    const idle = this.#registrations.isIdle()
      ? this.now() + REGISTERED_FOR_MS
      : Number.POSITIVE_INFINITY;
    const next = Math.max(Math.min(due, idle), this.now() + leastMs);
    if (Number.isFinite(next)) await this.#clock.wakeBy(next);
  }

  /** The region's loss will be told to this shard from now on. Not waited for: the alarm does what fails here. */
  #register({ draft, region, state }: LedgerJob): void {
    this.#name ??= ledgerShardName(draft.tenant_id, draft.id);
    if (state === "final" || this.#name === undefined) return;
    this.ctx.waitUntil(this.#registrations.ensure(region, this.#name));
  }

  /** As any of its jobs tells it; an object is not told its own name. */
  #ownName(): string | undefined {
    const job = this.#name === undefined ? this.#store.anyJob() : undefined;
    if (job) this.#name = ledgerShardName(job.tenant_id, job.id);
    return this.#name;
  }

  async #placeAll(jobs: LedgerJob[]): Promise<void> {
    const config = this.config();
    const place = createPlaceJob({
      regions: config.regions,
      callRegion: createCallRegion({ config }),
      views: trustedViews(await this.look()),
      store: { ...this.#store, reassign: (...move) => this.#reassign(...move) },
      accept: (id, dispatch, completion) => this.accept(id, dispatch, completion),
    });
    const counts = { placed: 0, refused: 0, waiting: 0 };
    const queue = jobs.values();
    const runner = async () => {
      for (const job of queue) counts[await place(job)]++;
    };
    await Promise.all(Array.from({ length: Math.min(ALARM_PARALLEL, jobs.length) }, runner));
    log("info", "looked after open jobs", counts);
  }

  #reassign(jobId: string, dispatch: number, to: string): LedgerJob | null {
    const from = this.#store.find(jobId)?.region;
    const moved = this.#store.reassign(jobId, dispatch, to);
    if (moved && from !== undefined) this.#revoked.moved(jobId, from, to);
    return moved;
  }

  async #tellOfRevoked(revoked: RevokedJob[]): Promise<void> {
    const callRegion = createCallRegion({ config: this.config() });
    const queue = revoked.values();
    const runner = async () => {
      for (const each of queue) {
        const job = this.#store.find(each.job_id);
        const region = findRegion(each.region);
        // Its own again, or gone: there is nothing to tell.
        const isOver = !job || !region || job.region === each.region;
        const outcome = isOver ? undefined : await revokeInRegion(callRegion, region, job);
        if (isOver || outcome?.kind === "done" || outcome?.kind === "refused") {
          this.#revoked.drop(each);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(ALARM_PARALLEL, revoked.length) }, runner));
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

  #wake(jobId: string): void {
    for (const wake of this.#waiters.get(jobId) ?? []) wake();
  }
}
