import { MAX_CANDIDATES } from "./harmonic-sum.ts";
import type { PitchCandidates } from "./harmonic-sum.ts";

export interface PitchPathOptions {
  /** Called once for each frame pushed, in order, with its fundamental in Hz or 0 where it is unvoiced. */
  onFrame: (f0Hz: number) => void;
  /** Frames that a decision may wait for. */
  lag?: number;
  weights?: Partial<PitchPathWeights>;
}

/** What each choice costs; the path with the lowest sum wins. */
export interface PitchPathWeights {
  /** Voicing of the best candidate from which on a frame counts as voiced. */
  voicedFrom: number;
  /** Leaving a frame unvoiced although its best candidate is voiced. */
  missed: number;
  /** Leaving a frame unvoiced whose best candidate is not voiced (a gain, so negative). */
  unvoiced: number;
  /** Choosing a candidate that is itself not voiced. */
  faint: number;
  /** Each candidate with a higher score that is passed over. */
  rank: number;
  /** The share by which a candidate's score falls short of the highest. */
  weaker: number;
  /** Going from voiced to unvoiced or back. */
  change: number;
  /** An octave's step between two voiced frames, and an octave's step squared. */
  step: number;
  stepSquared: number;
  /** Pitch above which an octave costs `high`. */
  highHz: number;
  high: number;
}

/**
 * Fitted to the F0 and voicing figures of the reference for real speech: what is known of its weights says which choices
 * cost something, but not how they enter.
 */
const fitted: PitchPathWeights = {
  voicedFrom: 0.7,
  missed: 2.857,
  unvoiced: -1.618,
  faint: 1.148,
  rank: 1.321,
  weaker: 12.56,
  change: 3.025,
  step: 1.984,
  stepSquared: 2.186,
  highHz: 890,
  high: 1000,
};

export interface PitchPath {
  push(candidates: PitchCandidates): void;
  /** Decides all frames that are still open. */
  finish(): void;
}

const STATES = MAX_CANDIDATES + 1;
const UNVOICED = MAX_CANDIDATES;

/** Chooses one candidate or none for each frame by the Viterbi algorithm with a fixed lag. Allocates nothing per frame. */
export function createPitchPath({ onFrame, lag = 40, weights }: PitchPathOptions): PitchPath {
  const cost = { ...fitted, ...weights };
  const slots = lag + 1;
  const octaves = new Float64Array(slots * STATES);
  const hertz = new Float64Array(slots * STATES);
  const from = new Int8Array(slots * STATES);
  let total = new Float64Array(STATES);
  let next = new Float64Array(STATES);
  let pushed = 0;
  let decided = 0;

  function push(candidates: PitchCandidates): void {
    const base = (pushed % slots) * STATES;
    const before = ((pushed + slots - 1) % slots) * STATES;
    const voiced = candidates.voicing[0]! >= cost.voicedFrom;
    let lowest = Infinity;
    for (let state = 0; state < STATES; state += 1) {
      const hz = state === UNVOICED ? 0 : candidates.hz[state]!;
      const here = base + state;
      hertz[here] = hz;
      from[here] = UNVOICED;
      if (state !== UNVOICED && hz <= 0) {
        next[state] = Infinity;
        continue;
      }
      const place = hz > 0 ? Math.log2(hz) : 0;
      octaves[here] = place;
      const best = pushed === 0 ? 0 : bestBefore(state, place, before, here);
      next[state] = best + (state === UNVOICED ? silence(voiced) : local(candidates, state));
      lowest = Math.min(lowest, next[state]!);
    }
    for (let state = 0; state < STATES; state += 1) next[state] = next[state]! - lowest;
    [total, next] = [next, total];
    pushed += 1;
    if (pushed - decided > lag) decide(pushed - lag);
  }

  function silence(voiced: boolean): number {
    return voiced ? cost.missed : cost.unvoiced;
  }

  function local(candidates: PitchCandidates, state: number): number {
    const hz = candidates.hz[state]!;
    const faint = candidates.voicing[state]! < cost.voicedFrom ? cost.faint : 0;
    const high = hz > cost.highHz ? cost.high * Math.log2(hz / cost.highHz) : 0;
    const weaker = cost.weaker * (1 - candidates.score[state]! / candidates.score[0]!);
    return cost.rank * state + weaker + faint + high;
  }

  /** @returns the lowest cost of reaching `state`; notes where it comes from */
  function bestBefore(state: number, place: number, before: number, here: number): number {
    let best = Infinity;
    for (let previous = 0; previous < STATES; previous += 1) {
      let sum = total[previous]!;
      if (sum === Infinity) continue;
      if (state === UNVOICED || previous === UNVOICED) {
        if (state !== previous) sum += cost.change;
      } else {
        const step = Math.abs(place - octaves[before + previous]!);
        sum += step * (cost.step + cost.stepSquared * step);
      }
      if (sum < best) {
        best = sum;
        from[here] = previous;
      }
    }
    return best;
  }

  /** Decides the open frames before `end`, following the cheapest path back from the newest frame. */
  function decide(end: number): void {
    let state = 0;
    for (let other = 1; other < STATES; other += 1)
      if (total[other]! < total[state]!) state = other;
    for (let frame = pushed - 1; frame > decided; frame -= 1) {
      const here = (frame % slots) * STATES + state;
      if (frame < end) chosen[frame % slots] = hertz[here]!;
      state = from[here]!;
    }
    chosen[decided % slots] = hertz[(decided % slots) * STATES + state]!;
    for (; decided < end; decided += 1) onFrame(chosen[decided % slots]!);
  }
  const chosen = new Float64Array(slots);

  return {
    push,
    finish: () => {
      if (pushed > decided) decide(pushed);
    },
  };
}
