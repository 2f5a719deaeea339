import { createRandom } from "./create-random.ts";

export interface SimulatedJob {
  id: string;
  arrivesAtS: number;
  /** Compute-seconds it really takes; no policy but an oracle may look. */
  work: number;
  /** What estimates go by. */
  kind: string;
  audioSeconds: number;
  /** Index of the region nearest to its client. */
  home: number;
}

export interface WorkloadOptions {
  seed: number;
  jobs: number;
  /** Mean arrivals a second. */
  perSecond: number;
  medianS?: number;
  p95S?: number;
  /**
   * Standard deviation of the logarithm of work, given kind and length of audio: what no estimate can know. The rest of the spread
   * comes from the lengths. At most that of the work itself: then lengths say nothing.
   */
  residual?: number;
  /** Compute-seconds per audio second of each kind; kinds are equally frequent. Nobody is told. */
  rates?: Readonly<Record<string, number>>;
  /** How many times the mean rate a burst has; 1 is none. The mean rate over all stays the same. */
  burst?: number;
  /** Length of a burst, and of burst and calm together, seconds. */
  burstS?: number;
  burstEveryS?: number;
  /** Share of clients nearest to each region. */
  homes?: readonly number[];
}

export const DEFAULT_RATES = { features: 0.03, transcript: 0.4, full: 0.6 };

/** Standard deviation of the logarithm of a log-normal by its median and 95th percentile. */
export function sigmaOf(medianS: number, p95S: number): number {
  return Math.log(p95S / medianS) / 1.6448536269514722;
}

/** Mean of the same. */
export function meanOf(medianS: number, p95S: number): number {
  return medianS * Math.exp(sigmaOf(medianS, p95S) ** 2 / 2);
}

/**
 * Jobs in order of arrival: a Poisson process, faster in bursts. Work is log-normal and the same for a seed whatever `residual` is;
 * audio lengths are made to fit it, so that work = rate x length x error with an error independent of the length.
 */
export function makeWorkload(options: WorkloadOptions): SimulatedJob[] {
  const { seed, jobs, perSecond, medianS = 6, p95S = 30, residual = 0 } = options;
  const { rates = DEFAULT_RATES, burst = 1, burstS = 30, burstEveryS = 300, homes = [1] } = options;
  const arrivals = createRandom(seed * 3 + 1);
  const sizes = createRandom(seed * 3 + 2);
  const shapes = createRandom(seed * 3 + 3);
  const sigma = sigmaOf(medianS, p95S);
  const unknown = Math.min(1, (residual / sigma) ** 2);
  const kinds = Object.entries(rates);
  // In calm times as much less as bursts are more.
  const inBurst = burstS / burstEveryS;
  const calm = Math.max(0, (1 - burst * inBurst) / (1 - inBurst));
  const made: SimulatedJob[] = [];
  let now = 0;
  for (let index = 0; index < jobs; index += 1) {
    now = nextArrival(now, arrivals.exponential());
    const z = sizes.normal();
    const [kind, rate] = kinds[Math.floor(shapes.next() * kinds.length)]!;
    // The logarithm of rate x length, given that of the work: both normal, with a correlation of sqrt(1 - unknown).
    const known = (1 - unknown) * z + Math.sqrt(unknown * (1 - unknown)) * shapes.normal();
    made.push({
      id: `job-${String(index).padStart(7, "0")}`,
      arrivesAtS: now,
      work: medianS * Math.exp(sigma * z),
      kind,
      audioSeconds: (medianS * Math.exp(sigma * known)) / rate,
      home: pick(homes, shapes.next()),
    });
  }
  return made;

  /** After as much of the (varying) rate as was drawn. */
  function nextArrival(from: number, drawn: number): number {
    let left = drawn / perSecond;
    for (let at = from; ;) {
      const phase = at % burstEveryS;
      const factor = phase < burstS ? burst : calm;
      const until = at - phase + (phase < burstS ? burstS : burstEveryS);
      const room = (until - at) * factor;
      if (left <= room && factor > 0) return at + left / factor;
      left -= room;
      at = until;
    }
  }
}

function pick(shares: readonly number[], drawn: number): number {
  const total = shares.reduce((sum, share) => sum + share, 0);
  let left = drawn * total;
  for (const [index, share] of shares.entries()) {
    left -= share;
    if (left < 0) return index;
  }
  return shares.length - 1;
}
