export interface NucleiOptions {
  /** How far below the loud end (99 % quantile) of the recording a nucleus may lie, dB. */
  rangeDb: number;
  /** How deep intensity must dip between two nuclei, dB. */
  dipDb: number;
}

export const defaultNucleiOptions: NucleiOptions = { rangeDb: 25, dipDb: 2 };

export interface NucleiTracks {
  /** Level of each 10 ms, dB. */
  intensityDb: Float32Array;
  /** Whether the voice sounds in that frame. */
  isVoiced: (frame: number) => boolean;
}

/**
 * Syllable nuclei after N. de Jong and T. Wempe, Behavior Research Methods 41(2), 2009: peaks of intensity that are loud
 * enough, come after a dip, and are voiced. The threshold hangs on the 99 % quantile, as in their later versions, so
 * that neither long silence nor a knock on the microphone moves it.
 *
 * @returns the frames of the nuclei, ascending
 */
export function findSyllableNuclei(
  { intensityDb, isVoiced }: NucleiTracks,
  { rangeDb, dipDb }: NucleiOptions = defaultNucleiOptions,
): number[] {
  const threshold = quantile(intensityDb, 0.99) - rangeDb;
  return peaksAfterDips(intensityDb, dipDb).filter(
    (frame) => intensityDb[frame]! > threshold && isVoiced(frame),
  );
}

/** The highest frame between each two dips of `dipDb` and more; the edges of the recording count as dips. */
function peaksAfterDips(levels: Float32Array, dipDb: number): number[] {
  const peaks: number[] = [];
  let lowest = -Infinity;
  let highest = -Infinity;
  let at = 0;
  let rising = true;
  for (let i = 0; i < levels.length; i += 1) {
    const level = levels[i]!;
    if (rising) {
      if (level > highest) {
        highest = level;
        at = i;
      } else if (level <= highest - dipDb) {
        peaks.push(at);
        rising = false;
        lowest = level;
      }
    } else if (level < lowest) {
      lowest = level;
    } else if (level >= lowest + dipDb) {
      rising = true;
      highest = level;
      at = i;
    }
  }
  if (rising && levels.length > 0) peaks.push(at);
  return peaks;
}

function quantile(values: Float32Array, part: number): number {
  if (values.length === 0) return -Infinity;
  const sorted = values.toSorted();
  return sorted[Math.floor(part * (sorted.length - 1))]!;
}
