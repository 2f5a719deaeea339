import { createOctaveSpectrum } from "./octave-spectrum.ts";

/** The pitch candidates of one frame, best score first; unused places hold 0. */
export interface PitchCandidates {
  readonly hz: Float64Array;
  /** From minus infinity (no trace of a pitch) to 1 (nothing but this pitch). */
  readonly voicing: Float64Array;
  readonly score: Float64Array;
}

export interface HarmonicSum {
  /** Fills `candidates` from one frame's magnitude spectrum. */
  find(magnitude: Float64Array, candidates: PitchCandidates): void;
}

export const MAX_CANDIDATES = 6;

export function createCandidates(): PitchCandidates {
  return {
    hz: new Float64Array(MAX_CANDIDATES),
    voicing: new Float64Array(MAX_CANDIDATES),
    score: new Float64Array(MAX_CANDIDATES),
  };
}

/**
 * Pitch candidates by subharmonic summation (Hermes 1988): the octave spectrum is added to copies of itself shifted down
 * by log2 of each harmonic's number, every next harmonic weighing less; the highest peaks of the sum are the candidates.
 * Their voicing is how far they stand above the mean of the sum, as a share of their height.
 */
export function createHarmonicSum(
  bins: number,
  sampleRate: number,
  { harmonics = 15, compression = 0.85, minHz = 55, maxHz = 1000 } = {},
): HarmonicSum {
  const spectrum = createOctaveSpectrum(bins, sampleRate);
  const { points, lowestHz, octavesPerPoint } = spectrum;
  const octaves = octavesPerPoint * (points - 1);
  // The reference counts `points`, not the intervals between them, to the axis when it shifts, and cuts the fraction off:
  // the estimate then lies up to half a point higher, which its figures show.
  const shifts = Uint16Array.from({ length: harmonics }, (_, h) =>
    Math.floor((Math.log2(h + 1) * points) / octaves),
  );
  const weights = Float64Array.from({ length: harmonics }, (_, h) => compression ** h);
  const sum = new Float64Array(points);
  const first = Math.max(1, Math.ceil(Math.log2(minHz / lowestHz) / octavesPerPoint));
  const last = Math.min(points - 2, Math.floor(Math.log2(maxHz / lowestHz) / octavesPerPoint));

  function find(magnitude: Float64Array, candidates: PitchCandidates): void {
    const { hz, voicing, score } = candidates;
    hz.fill(0);
    voicing.fill(0);
    score.fill(0);
    const mean = addHarmonics(spectrum.compute(magnitude));
    if (!(mean > 0)) return;
    pickPeaks(score, hz);
    for (let c = 0; c < MAX_CANDIDATES; c += 1) {
      const at = hz[c]!;
      if (at === 0) continue;
      const before = sum[at - 1]!;
      const peak = sum[at]!;
      const after = sum[at + 1]!;
      const bend = before - 2 * peak + after;
      const offset = bend === 0 ? 0 : (0.5 * (before - after)) / bend;
      const height = peak - 0.25 * (before - after) * offset;
      hz[c] = lowestHz * 2 ** ((at + offset) * octavesPerPoint);
      score[c] = height;
      voicing[c] = 1 - mean / height;
    }
  }

  /** @returns the mean of the sum over the whole axis */
  function addHarmonics(octave: Float64Array): number {
    sum.set(octave);
    for (let h = 1; h < harmonics; h += 1) {
      const shift = shifts[h]!;
      const weight = weights[h]!;
      for (let i = 0, from = shift; from < points; i += 1, from += 1) {
        sum[i] = sum[i]! + weight * octave[from]!;
      }
    }
    let total = 0;
    for (let i = 0; i < points; i += 1) total += sum[i]!;
    return total / points;
  }

  /** Leaves the places of the highest peaks in `places` and their heights in `heights`, highest first. */
  function pickPeaks(heights: Float64Array, places: Float64Array): void {
    for (let i = first; i <= last; i += 1) {
      const height = sum[i]!;
      if (height <= sum[i - 1]! || height < sum[i + 1]!) continue;
      if (height <= heights[MAX_CANDIDATES - 1]!) continue;
      let c = MAX_CANDIDATES - 1;
      while (c > 0 && heights[c - 1]! < height) {
        heights[c] = heights[c - 1]!;
        places[c] = places[c - 1]!;
        c -= 1;
      }
      heights[c] = height;
      places[c] = i;
    }
  }

  return { find };
}
