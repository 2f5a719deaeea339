import { deviationOf, meanOf } from "./moments.ts";

/** How voicing comes and goes; lengths in seconds. */
export interface VoicingSegments {
  voicedPerSecond: number;
  meanVoicedLength: number;
  stddevVoicedLength: number;
  meanUnvoicedLength: number;
  stddevUnvoicedLength: number;
}

/** Runs of fewer frames are no segments. */
const SHORTEST_RUN = 3;

/** An unvoiced gap of as many frames between voiced ones does not part them. */
const BRIDGED_GAP = 1;

/**
 * Lengths of the runs of voiced (not 0) and of unvoiced (0) frames, from first to last frame: one frame less than there are
 * (found, like the shortest run and the bridged gap, from the reference figures).
 *
 * @param contour F0 as it is summarised: in any unit, smoothed
 * @param hopS seconds from one frame to the next
 */
export function voicingSegments(contour: Float32Array, hopS: number): VoicingSegments {
  const voiced: number[] = [];
  const unvoiced: number[] = [];
  let start = 0;
  for (let i = 1; i <= contour.length; i += 1) {
    const isVoiced = contour[start] !== 0;
    if (i < contour.length && (contour[i] !== 0) === isVoiced) continue;
    if (isVoiced && i + BRIDGED_GAP < contour.length && contour[i + BRIDGED_GAP] !== 0) continue;
    if (i - start >= SHORTEST_RUN) (isVoiced ? voiced : unvoiced).push((i - 1 - start) * hopS);
    start = i;
  }
  const duration = contour.length * hopS;
  const meanVoicedLength = meanOf(voiced);
  const meanUnvoicedLength = meanOf(unvoiced);
  return {
    voicedPerSecond: duration > 0 ? voiced.length / duration : 0,
    meanVoicedLength,
    stddevVoicedLength: deviationOf(voiced, meanVoicedLength),
    meanUnvoicedLength,
    stddevUnvoicedLength: deviationOf(unvoiced, meanUnvoicedLength),
  };
}
