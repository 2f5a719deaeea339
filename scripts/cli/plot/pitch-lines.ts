import type { FeatureTracks } from "../../../shared/contracts/analysis-result.ts";

export interface PitchPoint {
  t_s: number;
  hz: number;
}

/** Half of a pitch frame: the middle of frame i lies so long after i · hop. */
const HALF_FRAME_S = 0.03;
/** A jump of more than this between neighbours is no glide of the voice, octaves. */
const LONGEST_STEP = 0.45;

/** The pitch as lines of voiced neighbours, thinned to about `columns` points; times are the middles of the frames. */
export function pitchLines({ hop_s, f0_hz }: FeatureTracks, columns: number): PitchPoint[][] {
  const step = Math.max(1, Math.ceil(f0_hz.length / columns));
  const lines: PitchPoint[][] = [];
  let line: PitchPoint[] = [];
  for (let at = 0; at < f0_hz.length; at += step) {
    const voiced = f0_hz.slice(at, at + step).filter((hz) => hz > 0);
    const hz = voiced.toSorted((a, b) => a - b)[voiced.length >> 1];
    const last = line.at(-1);
    const goesOn =
      hz !== undefined &&
      (last === undefined || Math.abs(Math.log2(hz / last.hz)) < LONGEST_STEP * Math.sqrt(step));
    if (!goesOn && line.length > 0) {
      lines.push(line);
      line = [];
    }
    if (hz !== undefined) line.push({ t_s: (at + (step - 1) / 2) * hop_s + HALF_FRAME_S, hz });
  }
  return line.length > 0 ? [...lines, line] : lines;
}
