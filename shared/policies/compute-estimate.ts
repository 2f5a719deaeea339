/** What is known of a job before it runs. */
export interface JobShape {
  kind: string;
  /** Parts asked for, in any order. */
  parts: readonly string[];
  /** What runs it: models and versions, as the worker names them. */
  model: string;
  /** Length of the audio; absent when not known yet. */
  audioSeconds?: number | undefined;
}

/** One row of the history: an exponentially weighted mean of the logarithm of compute-seconds per audio second, and its spread. */
export interface RateStat {
  /** Weight of what was observed; grows to 1 / (1 - keep). */
  weight: number;
  meanLog: number;
  varianceLog: number;
}

/** Everything learnt, as plain data that can be stored as JSON. Keys are those of `estimateKey`, and "" for all jobs together. */
export interface ComputeHistory {
  rates: Readonly<Record<string, RateStat>>;
  /** The same of audio lengths, for jobs whose own is not known. */
  lengths: Readonly<Record<string, RateStat>>;
}

export interface EstimateOptions {
  /** What each new run leaves of the weight of those before it. */
  keep?: number;
  /** Compute-seconds per audio second before anything was seen. */
  priorRate?: number;
  /** Audio seconds of a job whose length is not known, before any was seen. */
  priorLengthS?: number;
  /** How many runs the prior counts for. */
  priorWeight?: number;
  /** Whether a shape seldom seen leans on the prior alone, where runs of others tell nothing of it. */
  ownOnly?: boolean;
  /** Rows kept; beyond it the least seen goes. A client must not be able to grow them without end. */
  mostKeys?: number;
}

export interface ComputeEstimate {
  /** Expected compute-seconds. */
  seconds: number;
  /** Standard deviation of the logarithm of what a run needs, around that of the estimate. */
  spread: number;
  /** Weight of the runs of this very shape behind it; 0: only the prior, or other jobs. */
  weight: number;
}

const DEFAULTS = {
  keep: 0.96,
  priorRate: 0.2,
  priorLengthS: 30,
  priorWeight: 2,
  mostKeys: 500,
} as const;
/** Of a rate of which nothing is known: a factor of 2.7 up or down. */
const PRIOR_VARIANCE = 1;
/** An outlier counts as if it were so many standard deviations away: one hung run must not spoil a row. */
const CLIP = 3;
/** So that rows of very equal runs do not clip everything that is not the same. */
const LEAST_DEVIATION = 0.1;
/** Shorter audio costs no less: what a run has to do at any rate. */
const LEAST_AUDIO_S = 1;

export const emptyHistory: ComputeHistory = { rates: {}, lengths: {} };

export function estimateKey({ kind, parts, model }: JobShape): string {
  return `${kind}|${parts.toSorted().join("+")}|${model}`;
}

/**
 * Expected compute-seconds of a job by what runs of its shape took: rate x length. The rate of a shape seldom seen leans on the
 * rate of all jobs, and that on the prior. In logarithms, since both are skewed; the mean of a log-normal is exp(m + s²/2).
 */
export function estimateCompute(
  history: ComputeHistory,
  job: JobShape,
  options: EstimateOptions = {},
): ComputeEstimate {
  const { priorRate = DEFAULTS.priorRate, priorLengthS = DEFAULTS.priorLengthS } = options;
  const key = estimateKey(job);
  const rate = leaning(history.rates, key, Math.log(priorRate), options);
  const length =
    job.audioSeconds === undefined
      ? leaning(history.lengths, key, Math.log(priorLengthS), options)
      : { meanLog: Math.log(Math.max(LEAST_AUDIO_S, job.audioSeconds)), varianceLog: 0 };
  const variance = rate.varianceLog + length.varianceLog;
  return {
    seconds: Math.exp(rate.meanLog + length.meanLog + variance / 2),
    spread: Math.sqrt(variance),
    weight: history.rates[key]?.weight ?? 0,
  };
}

/**
 * The history with one more finished run in it. Only runs that succeeded belong here: a failed one says nothing of the length of
 * others. Figures that cannot be (no length, no time) change nothing.
 * @param computeSeconds wall seconds of the run times the worker's speed
 */
export function learnCompute(
  history: ComputeHistory,
  job: JobShape,
  computeSeconds: number,
  options: EstimateOptions = {},
): ComputeHistory {
  const given = { ...DEFAULTS, ...options };
  const { audioSeconds } = job;
  if (!isPositive(computeSeconds) || !isPositive(audioSeconds)) return history;
  const key = estimateKey(job);
  const length = Math.log(Math.max(LEAST_AUDIO_S, audioSeconds));
  const rate = Math.log(computeSeconds) - length;
  const { keep, mostKeys } = given;
  return {
    rates: bounded(
      {
        ...history.rates,
        [key]: learn(history.rates[key], rate, keep),
        "": learn(history.rates[""], rate, keep),
      },
      key,
      mostKeys,
    ),
    lengths: bounded(
      {
        ...history.lengths,
        [key]: learn(history.lengths[key], length, keep),
        "": learn(history.lengths[""], length, keep),
      },
      key,
      mostKeys,
    ),
  };
}

/**
 * Compute-seconds still ahead of a run. One that has outlived its estimate is one of the long ones: what is ahead then grows with
 * what is behind, as it does for heavy-tailed lengths. A run that says how far it is, in [0, 1], is believed ever more, the farther
 * it is.
 */
export function remainingCompute(estimate: number, done: number, fraction = 0): number {
  const expected = Math.max(estimate - done, OUTLIVED * Math.max(estimate, done));
  if (fraction <= 0) return expected;
  // (1 - f) of what was expected, and f of what its pace lets expect: done x (1 - f) / f.
  return (1 - fraction) * (expected + done);
}
const OUTLIVED = 0.15;

function leaning(
  stats: Readonly<Record<string, RateStat>>,
  key: string,
  priorMeanLog: number,
  { priorWeight = DEFAULTS.priorWeight, ownOnly = false }: EstimateOptions,
): { meanLog: number; varianceLog: number } {
  const prior = { meanLog: priorMeanLog, varianceLog: PRIOR_VARIANCE };
  const all = ownOnly ? prior : mix(stats[""], prior, priorWeight);
  return mix(stats[key], all, priorWeight);
}

function mix(
  own: RateStat | undefined,
  other: { meanLog: number; varianceLog: number },
  otherWeight: number,
): { meanLog: number; varianceLog: number } {
  if (!own) return other;
  const share = own.weight / (own.weight + otherWeight);
  return {
    meanLog: share * own.meanLog + (1 - share) * other.meanLog,
    varianceLog: share * own.varianceLog + (1 - share) * other.varianceLog,
  };
}

function learn(stat: RateStat | undefined, value: number, keep: number): RateStat {
  if (!stat) return { weight: 1, meanLog: value, varianceLog: PRIOR_VARIANCE };
  const deviation = Math.max(LEAST_DEVIATION, Math.sqrt(stat.varianceLog));
  const off = Math.min(CLIP * deviation, Math.max(-CLIP * deviation, value - stat.meanLog));
  const weight = keep * stat.weight + 1;
  const step = 1 / weight;
  // The prior's variance counts as the first observation, so that it fades as they come in.
  return {
    weight,
    meanLog: stat.meanLog + step * off,
    varianceLog: (1 - step) * (stat.varianceLog + step * off * off),
  };
}

function bounded(
  stats: Record<string, RateStat>,
  justSeen: string,
  mostKeys: number,
): Record<string, RateStat> {
  const keys = Object.keys(stats);
  if (keys.length <= mostKeys) return stats;
  let least: string | undefined;
  for (const key of keys) {
    if (key === "" || key === justSeen) continue;
    if (least === undefined || stats[key]!.weight < stats[least]!.weight) least = key;
  }
  if (least !== undefined) delete stats[least];
  return stats;
}

function isPositive(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value) && value > 0;
}
