import type {
  AcousticFeatures,
  Age,
  Emotion,
  Sex,
  SpeakingRate,
  Transcript,
} from "../../shared/contracts/analysis-result.ts";
import type { EgemapsName } from "../../shared/contracts/egemaps-names.ts";

/** A name and what is said under it. */
export type Line = readonly [name: string, text: string];

/** The features that a person can picture; all 88 are in the JSON. */
export function describeFeatures({ set, values, formants }: AcousticFeatures): Line[] {
  const figure = (name: EgemapsName, digits: number, scale = 1): string => {
    const value = values[name];
    return value === null ? "–" : (value * scale).toFixed(digits);
  };
  const count = Object.values(values).filter((value) => value !== null).length;
  const lines: Line[] = [];
  const median = hertz(values["F0semitoneFrom27.5Hz_sma3nz_percentile50.0"]);
  const low = hertz(values["F0semitoneFrom27.5Hz_sma3nz_percentile20.0"]);
  const high = hertz(values["F0semitoneFrom27.5Hz_sma3nz_percentile80.0"]);
  if (median === undefined || low === undefined || high === undefined) {
    lines.push(["pitch", "no voice"]);
  } else {
    const range = figure("F0semitoneFrom27.5Hz_sma3nz_pctlrange0-2", 1);
    lines.push([
      "pitch",
      `median ${median} Hz, ${low}–${high} Hz in the middle 60 % (${range} semitones)`,
    ]);
  }
  const quiet = figure("loudness_sma3_percentile20.0", 2);
  const loud = figure("loudness_sma3_percentile80.0", 2);
  lines.push(["loudness", `mean ${figure("loudness_sma3_amean", 2)}, ${quiet}–${loud}`]);
  if (median !== undefined) {
    const jitter = figure("jitterLocal_sma3nz_amean", 2, 100);
    const shimmer = figure("shimmerLocaldB_sma3nz_amean", 2);
    const hnr = figure("HNRdBACF_sma3nz_amean", 1);
    lines.push([
      "voice",
      `jitter ${jitter} %, shimmer ${shimmer} dB, harmonics to noise ${hnr} dB`,
    ]);
    const resonances = formants.map(({ frequency_hz }, at) => `F${at + 1} ${frequency_hz}`);
    lines.push(["formants", `${resonances.join(", ")} Hz in the median`]);
  }
  lines.push([
    "features",
    `${count} of ${Object.keys(values).length} of ${set} (--json shows them)`,
  ]);
  return lines;
}

export function describeTranscript({ text, quality }: Transcript): Line[] {
  if (text === "") return [["transcript", "no speech"]];
  const lines: Line[] = [["transcript", text]];
  if (quality === "fallback") lines.push(["", "(by the fallback engine: expect wrong words)"]);
  return lines;
}

export function describeSpeakingRate(rate: SpeakingRate): Line[] {
  if (rate.articulation_rate === null) return [["speaking rate", "no speech"]];
  const { count, total_s } = rate.pauses;
  const pauses =
    count === 0 ? "no pause" : `${plural(count, "pause")} of ${total_s.toFixed(1)} s in all`;
  return [
    [
      "speaking rate",
      `${rate.syllables_per_s.toFixed(1)} syllables/s (${rate.syllables}), articulation ${rate.articulation_rate.toFixed(1)}/s, ${pauses}`,
    ],
  ];
}

export function describeEmotion(emotion: Emotion): Line[] {
  const { arousal, confidence, method, cues, classified } = emotion;
  const { pitch, intensity, hf500 } = cues;
  return [
    ...(classified === undefined ? [] : [describeClassified(classified)]),
    [
      "arousal",
      `${signed(arousal)} of -1 to 1, confidence ${confidence.toFixed(2)} (${method}; no baseline of the speaker)`,
    ],
    [
      "",
      `pitch ${signed(pitch.score)}, intensity ${signed(intensity.score)}, high frequencies ${signed(hf500.score)}`,
    ],
  ];
}

/** What a trained model hears, or the command that brings one. */
function describeClassified(classified: NonNullable<Emotion["classified"]>): Line {
  if ("status" in classified) {
    const { reason, install } = classified;
    return ["emotion", `unavailable: ${reason}${install ? ` (install: ${install})` : ""}`];
  }
  const { label, probabilities, dimensions = {} } = classified;
  const parts = Object.entries(dimensions).map(([name, value = 0]) => `${name} ${signed(value)}`);
  if (label !== undefined) parts.unshift(`${label} ${percent(probabilities?.[label])}`);
  return ["emotion", parts.join(", ")];
}

export function describeAge({ years, spread_years }: Age): Line[] {
  return [["age", `sounds like ${Math.round(years)} years, ±${Math.round(spread_years)} within`]];
}

export function describeSex({ label, probabilities }: Sex): Line[] {
  return [["sex", `sounds ${label}, ${percent(probabilities[label])}`]];
}

function percent(share = 0): string {
  return `${(share * 100).toFixed(0)} %`;
}

function hertz(semitones: number | null): number | undefined {
  return semitones === null ? undefined : Math.round(27.5 * 2 ** (semitones / 12));
}

function signed(value: number): string {
  return `${value < 0 ? "" : "+"}${value.toFixed(2)}`;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
