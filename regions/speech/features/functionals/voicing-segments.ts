import { deviationOf, meanOf } from "./moments.ts";

/** How voicing comes and goes; lengths in seconds. */
export interface VoicingSegments {
  voicedPerSecond: number;
  meanVoicedLength: number;
  stddevVoicedLength: number;
  meanUnvoicedLength: number;
  stddevUnvoicedLength: number;
}

/**
 * Lengths of the runs of voiced (not 0) and of unvoiced (0) frames. A run's length is the time from its first to its last
 * frame, so that one of a single frame has none and does not count.
 *
 * @param hopS seconds from one frame to the next
 */
export function voicingSegments(f0: Float32Array, hopS: number): VoicingSegments {
  const voiced: number[] = [];
  const unvoiced: number[] = [];
  let start = 0;
  for (let i = 1; i <= f0.length; i += 1) {
    const isVoiced = f0[start] !== 0;
    if (i < f0.length && (f0[i] !== 0) === isVoiced) continue;
    const length = i - 1 - start;
    if (length > 0) (isVoiced ? voiced : unvoiced).push(length * hopS);
    start = i;
  }
  const duration = (f0.length - 1) * hopS;
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
