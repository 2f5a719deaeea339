import { overheadShare, predictMs } from "./cost-model.ts";
import type { CostModel } from "./cost-model.ts";

/** One item that waits; all times are milliseconds of one clock. */
export interface Waiting {
  /** When its result is due. */
  deadline: number;
  /** Until when it may wait for company, however far its deadline is. */
  sendBy: number;
}

/** Items of one padded length, nearest deadline first. */
export interface Bucket<T extends Waiting = Waiting> {
  seconds: number;
  items: readonly T[];
}

export interface BatchLimits {
  /** Most items in a batch. */
  maxItems: number;
  /** A batch is not made longer than this, so that nobody waits longer for the one that runs; milliseconds. */
  maxRunMs: number;
  /** A batch is large enough when less than this share of its time could be saved by a larger one. */
  waste: number;
  /** Batches that may be with the model at once: one that runs and others that wait behind it. */
  maxInFlight: number;
  /** So long before the one that runs is over may the next one be sent after it; milliseconds. */
  leadMs: number;
}

export const defaultBatchLimits: BatchLimits = {
  maxItems: 64,
  maxRunMs: 20,
  waste: 0.05,
  maxInFlight: 2,
  leadMs: 3,
};

export interface BatchState {
  now: number;
  buckets: readonly Bucket[];
  cost: CostModel;
  inFlight: number;
  /** When the model is expected to be done with all that it was sent. */
  freeAt: number;
}

export type BatchDecision =
  /** Send the first `count` items of this bucket. */
  | { type: "send"; bucket: number; count: number }
  /** Look again at this time, or when an item comes or a batch returns. */
  | { type: "wait"; until: number };

interface Candidate {
  bucket: number;
  count: number;
  deadline: number;
  ms: number;
  enough: boolean;
  sendBy: number;
}

/**
 * Picks batch and moment: earliest deadline first. A batch goes when it is large enough, when waiting longer would make
 * somebody late, or when an item has waited for company as long as it may. Depends on nothing but its arguments.
 */
export function decideBatch(state: BatchState, limits: BatchLimits): BatchDecision {
  const { now, inFlight } = state;
  if (inFlight >= limits.maxInFlight) return { type: "wait", until: Infinity };
  const candidates = candidatesOf(state, limits);
  const first = candidates[0];
  if (first === undefined) return { type: "wait", until: Infinity };
  const large = candidates.find(({ enough }) => enough);
  if (inFlight > 0) {
    // The model is busy: a batch that is not large enough can as well grow here, where it can still be overtaken.
    if (large === undefined) return { type: "wait", until: Infinity };
    const from = state.freeAt - limits.leadMs;
    if (now < from) return { type: "wait", until: from };
    return send(safe(large, candidates, state.freeAt));
  }
  const latest = latestStart(candidates);
  if (now >= latest) return send(first);
  const waitedEnough = candidates.find(({ sendBy }) => sendBy <= now);
  const chosen = waitedEnough ?? large;
  if (chosen !== undefined) return send(safe(chosen, candidates, now));
  return {
    type: "wait",
    until: candidates.reduce((until, { sendBy }) => Math.min(until, sendBy), latest),
  };
}

function send({ bucket, count }: Candidate): BatchDecision {
  return { type: "send", bucket, count };
}

/** The best batch of each bucket, nearest deadline first. */
function candidatesOf({ buckets, cost }: BatchState, limits: BatchLimits): Candidate[] {
  const found: Candidate[] = [];
  for (const [bucket, { seconds, items }] of buckets.entries()) {
    const head = items[0];
    if (head === undefined) continue;
    const most = mostItems(cost, seconds, limits);
    const count = Math.min(items.length, most);
    const enough = count === most || overheadShare(cost, count, seconds) <= limits.waste;
    let { sendBy } = head;
    // A batch that is large enough goes whatever its items would have waited for.
    if (!enough) for (const item of items) sendBy = Math.min(sendBy, item.sendBy);
    const ms = predictMs(cost, count, seconds) * cost.margin;
    found.push({ bucket, count, deadline: head.deadline, ms, enough, sendBy });
  }
  return found.toSorted((a, b) => a.deadline - b.deadline);
}

/** As many as fit into the limits, one at least. */
export function mostItems(cost: CostModel, seconds: number, limits: BatchLimits): number {
  const room = limits.maxRunMs - cost.fixed - cost.perSecond * seconds;
  const each = cost.perItemSecond * seconds;
  const inTime = each === 0 ? limits.maxItems : Math.floor(room / each);
  return Math.max(1, Math.min(limits.maxItems, inTime));
}

/** The last moment at which these, one after the other, can all be started and still be in time. */
function latestStart(candidates: readonly Candidate[]): number {
  let before = 0;
  let latest = Infinity;
  for (const { deadline, ms } of candidates) {
    before += ms;
    latest = Math.min(latest, deadline - before);
  }
  return latest;
}

/** The chosen one, unless to run it first would make another late: then the one with the nearest deadline. */
function safe(chosen: Candidate, candidates: readonly Candidate[], start: number): Candidate {
  const others = candidates.filter((candidate) => candidate !== chosen);
  return start + chosen.ms > latestStart(others) ? candidates[0]! : chosen;
}
