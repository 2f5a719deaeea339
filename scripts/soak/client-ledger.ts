import { compareEpochs, type Epoch } from "../../shared/contracts/epoch.ts";
import type {
  CompletionOffer,
  CompletionVerdict,
  OutboxEnvelope,
} from "../../shared/contracts/completion.ts";
import type { End, PlannedJob } from "./plan-job.ts";

/** What a soak has seen from the outside. */
export interface Judgement {
  accepted: number;
  finished: number;
  /** Accepted jobs without a final state that reached the database. */
  lost: string[];
  /** Jobs of which more than one run reached the database. */
  doubled: string[];
  /** Jobs that ended in a way that they must not, and how. */
  wrong: string[];
  ends: Record<string, number>;
}

/**
 * The ledger and the database as a soak keeps them: what was accepted, which run of each job is final, and which runs had effect. It
 * knows nothing of the queue but what comes out of it.
 */
export interface ClientLedger {
  /** Before the job is submitted: an offer may come before the answer does. */
  reserve(job: PlannedJob): void;
  /** The queue has answered that it has the job. */
  accept(jobId: string): void;
  /** The ledger gives the job out again; false when it has ended. Settles which dispatch counts from now on. */
  redispatch(jobId: string, dispatch: number): boolean;
  /** The client's cancel was answered so. */
  cancelAnswered(jobId: string, outcome: string): void;
  verdict(offer: CompletionOffer): CompletionVerdict;
  write(envelope: OutboxEnvelope): void;
  open(): number;
  /** Resolves once every accepted job has had its effect; rejects with the signal's reason. */
  settled(signal: AbortSignal): Promise<void>;
  judge(): Judgement;
}

interface Entry {
  job: PlannedJob;
  accepted: boolean;
  dispatch: number;
  final?: { epoch: Epoch; end: End };
  effects: Set<string>;
  cancel?: string;
  early?: boolean;
}

export function createClientLedger(): ClientLedger {
  const entries = new Map<string, Entry>();
  const open = new Set<string>();
  let onSettled = () => {};

  function written(entry: Entry, id: string): void {
    if (!entry.accepted || entry.effects.size === 0) return;
    open.delete(id);
    if (open.size === 0) onSettled();
  }

  return {
    reserve(job) {
      entries.set(job.spec.id, { job, accepted: false, dispatch: 1, effects: new Set() });
    },
    accept(jobId) {
      const entry = entries.get(jobId)!;
      entry.accepted = true;
      open.add(jobId);
      written(entry, jobId);
    },
    redispatch(jobId, dispatch) {
      const entry = entries.get(jobId)!;
      if (entry.final) return false;
      entry.dispatch = dispatch;
      return true;
    },
    cancelAnswered(jobId, outcome) {
      entries.get(jobId)!.cancel = outcome;
    },
    verdict({ job_id, epoch, status, error, started_at }) {
      const entry = entries.get(job_id);
      if (!entry) return { job_id, epoch, verdict: "unknown" };
      if (!entry.final) {
        if (epoch.dispatch < entry.dispatch) return { job_id, epoch, verdict: "superseded" };
        const end = status === "failed" ? (error?.code ?? "internal") : status;
        entry.final = { epoch, end };
        const { not_before } = entry.job.spec;
        // Redis and we share a clock, but for the rounding.
        entry.early =
          not_before !== undefined && Date.parse(started_at) < Date.parse(not_before) - 5;
      }
      const same = compareEpochs(entry.final.epoch, epoch) === 0;
      return { job_id, epoch, verdict: same ? "accepted" : "superseded" };
    },
    write({ job }) {
      const entry = entries.get(job.id);
      if (!entry) throw new Error(`${job.id} was never submitted`);
      entry.effects.add(`${job.epoch.dispatch}-${job.epoch.attempt} ${job.status}`);
      written(entry, job.id);
    },
    open: () => open.size,
    settled(signal) {
      return new Promise((resolve, reject) => {
        if (open.size === 0) return resolve();
        onSettled = resolve;
        signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
      });
    },
    judge() {
      const judgement: Judgement = {
        accepted: 0,
        finished: 0,
        lost: [],
        doubled: [],
        wrong: [],
        ends: {},
      };
      for (const [id, { job, accepted, final, effects, cancel, early }] of entries) {
        if (effects.size > 1) judgement.doubled.push(`${id}: ${[...effects].join(", ")}`);
        if (!accepted) continue;
        judgement.accepted += 1;
        if (!final || effects.size === 0) {
          judgement.lost.push(`${id}: ${JSON.stringify(job.spec.metadata)}`);
          continue;
        }
        judgement.finished += 1;
        judgement.ends[final.end] = (judgement.ends[final.end] ?? 0) + 1;
        // Which the queue has promised.
        const promised = cancel === "canceled" ? (["canceled"] as End[]) : job.ends;
        if (!promised.includes(final.end)) {
          judgement.wrong.push(`${id}: ${final.end}, not ${promised.join(" or ")}`);
        }
        if (early) judgement.wrong.push(`${id}: began before it was to`);
      }
      return judgement;
    },
  };
}
