/**
 * How long a model takes for a batch, learned while it runs: t = fixed + perSecond·s + perItemSecond·n·s, where n is the
 * number of items and s their padded length in seconds. Each batch is one observation of weighted least squares with
 * forgetting; the weights make errors relative, coordinate descent from the last solution keeps the terms from going
 * below zero and leaves alone what the batches seen so far cannot tell apart. An observation that is far off is bounded
 * first: one batch that the machine held up must not move the others' plan, a machine that stays slow must.
 */
export interface CostModel {
  /** Milliseconds for a batch, whatever is in it. */
  readonly fixed: number;
  /** Milliseconds for each second of length, however many items are that long: steps that a batch takes one by one. */
  readonly perSecond: number;
  /** Milliseconds for each second of each item. */
  readonly perItemSecond: number;
  /** By how much batches run over what is predicted, save for one in twenty. */
  readonly margin: number;
  /** Observations so far. */
  readonly seen: number;
  /** Weighted sums of the products of (1, s, n·s, t): 11, 12, 13, 22, 23, 33, 1t, 2t, 3t. */
  readonly sums: readonly number[];
}

/** Of ten batches the last counts as much as of all before the hundred last. */
const KEEP = 0.97;
/** The first batches are taken as they are: nothing is known to bound them by. */
const UNBOUNDED = 3;
/** At most so many times longer or shorter than predicted is an observation taken for. */
const BOUND = 1.5;
/** Less than a call alone takes: a clock that stood still. */
const SHORTEST_MS = 1e-3;
const SWEEPS = 8;
const QUANTILE = 0.95;
const QUANTILE_STEP = 0.05;
const MAX_MARGIN = 4;

/** A model before its first batch, with a guess to plan the first ones by. */
export function guessCost({
  fixed = 1,
  perSecond = 0,
  perItemSecond = 10,
}: Partial<Pick<CostModel, "fixed" | "perSecond" | "perItemSecond">> = {}): CostModel {
  return { fixed, perSecond, perItemSecond, margin: 1, seen: 0, sums: [0, 0, 0, 0, 0, 0, 0, 0, 0] };
}

/** Milliseconds that a batch of `count` items of `seconds` each is expected to take. */
export function predictMs(cost: CostModel, count: number, seconds: number): number {
  return cost.fixed + (cost.perSecond + cost.perItemSecond * count) * seconds;
}

/** The share of a batch's time that would be the same with one item more: what a larger batch can still save. */
export function overheadShare(cost: CostModel, count: number, seconds: number): number {
  const total = predictMs(cost, count, seconds);
  return total === 0 ? 0 : (cost.fixed + cost.perSecond * seconds) / total;
}

/** What is known after one more batch. */
export function learnCost(
  cost: CostModel,
  { count, seconds, ms }: { count: number; seconds: number; ms: number },
): CostModel {
  if (!(ms >= SHORTEST_MS) || !Number.isFinite(ms)) return cost;
  const predicted = predictMs(cost, count, seconds);
  const bounded =
    cost.seen < UNBOUNDED ? ms : Math.min(predicted * BOUND, Math.max(predicted / BOUND, ms));
  const items = count * seconds;
  const weight = 1 / bounded ** 2;
  const products = [
    1,
    seconds,
    items,
    seconds * seconds,
    seconds * items,
    items * items,
    bounded,
    seconds * bounded,
    items * bounded,
  ];
  const sums = cost.sums.map((sum, i) => KEEP * sum + weight * products[i]!);
  const [s11, s12, s13, s22, s23, s33, s1t, s2t, s3t] = sums as Nine;
  let { fixed, perSecond, perItemSecond } = cost;
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    perItemSecond = Math.max(0, (s3t - s13 * fixed - s23 * perSecond) / s33);
    fixed = Math.max(0, (s1t - s12 * perSecond - s13 * perItemSecond) / s11);
    perSecond = Math.max(0, (s2t - s12 * fixed - s23 * perItemSecond) / s22);
  }
  return {
    fixed,
    perSecond,
    perItemSecond,
    margin: cost.seen < UNBOUNDED ? 1 : nextMargin(cost.margin, ms / predicted),
    seen: cost.seen + 1,
    sums,
  };
}

type Nine = [number, number, number, number, number, number, number, number, number];

/** A step up for what runs over the margin and a nineteenth of it down for what does not: it settles at the quantile. */
function nextMargin(margin: number, ratio: number): number {
  const step = ratio > margin ? QUANTILE : QUANTILE - 1;
  return Math.min(MAX_MARGIN, Math.max(1, margin * (1 + QUANTILE_STEP * step)));
}
