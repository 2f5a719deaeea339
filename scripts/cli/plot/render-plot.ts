import type { FeatureTracks, SpeechSegment } from "../../../shared/contracts/analysis-result.ts";
import { linearAxis, pitchAxis, timeLabels } from "./axis.ts";
import type { Axis } from "./axis.ts";
import type { Waveform } from "./measure-waveform.ts";
import { pitchLines } from "./pitch-lines.ts";
import { plotStyle } from "./plot-style.ts";

export interface PlotInput {
  title: string;
  /** A line of figures under the title. */
  subtitle: string;
  durationS: number;
  waveform: Waveform;
  /** Absent where the features are. */
  tracks?: FeatureTracks | undefined;
  /** Absent where voice activity is. */
  segments?: readonly SpeechSegment[] | undefined;
}

const WIDTH = 1200;
const HEIGHT = 520;
const LEFT = 76;
const RIGHT = WIDTH - 28;
const WAVE = { top: 92, bottom: 252 };
/** Signs of a title that have room beside the legend. */
const MOST_SIGNS = 68;
/** Least width of what is drawn, pixels. */
const FINEST = 0.5;
/** Outlines lower than this are not stretched to fill their panel. */
const LEAST_PEAK = 0.01;
/** Frames of pitch from which its line is drawn finer. */
const DENSE = 3000;
const PITCH = { top: 284, bottom: 462 };

/** What the legend may name: its style, and its room in pixels. */
const keys = {
  speech: { style: "speech key", width: 88 },
  waveform: { style: "wave", width: 108 },
  pitch: { style: "dot", width: 56 },
} as const;

/** A drawing of waveform, pitch and speech over one axis of time: an SVG of its own, for light and dark screens. */
export function renderPlot(input: PlotInput): string {
  const { durationS, tracks, segments } = input;
  const time = linearAxis([0, durationS], [LEFT, RIGHT], 10);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-labelledby="title subtitle">
<title id="title">${escapeXml(input.title)}: waveform, pitch and speech</title>
<desc id="subtitle">${escapeXml(input.subtitle)}</desc>
<style>${plotStyle}</style>
<rect class="paper" width="${WIDTH}" height="${HEIGHT}"/>
<text class="head" x="${LEFT}" y="36">${escapeXml(shorten(input.title))}</text>
<text class="note" x="${LEFT}" y="60">${escapeXml(input.subtitle)}</text>
${legend([...(segments ? (["speech"] as const) : []), "waveform", ...(tracks ? (["pitch"] as const) : [])])}
${bands(segments ?? [], time).join("\n")}
${wavePanel(input.waveform, time)}
${pitchPanel(tracks, time)}
${timeAxis(time, durationS)}
</svg>
`;
}

/** Speech as bands; gaps that no screen can show are closed, so that ten hours have no more bands than columns. */
function bands(segments: readonly SpeechSegment[], time: Axis): string[] {
  const spans: { from: number; to: number }[] = [];
  for (const { start_s, end_s } of segments) {
    const last = spans.at(-1);
    const from = time(start_s);
    const to = Math.max(time(end_s), from + FINEST);
    if (last !== undefined && from - last.to < FINEST) last.to = Math.max(last.to, to);
    else spans.push({ from, to });
  }
  return spans.map(
    ({ from, to }) =>
      `<rect class="speech" x="${px(from)}" y="${WAVE.top}" width="${px(to - from)}" height="${PITCH.bottom - WAVE.top}"/>`,
  );
}

function wavePanel({ stepS, low, high }: Waveform, time: Axis): string {
  const peak = Math.max(LEAST_PEAK, ...high, ...low.map((value) => -value));
  const level = linearAxis([-peak, peak], [WAVE.bottom, WAVE.top], 4);
  const above = Array.from(high, (value, i) => point(time((i + 0.5) * stepS), level(value)));
  const below = Array.from(low, (value, i) => point(time((i + 0.5) * stepS), level(value)));
  const rows = level.ticks.map((tick) => row(level(tick), String(Number(tick.toPrecision(3)))));
  return `${rows.join("\n")}
<path class="wave" d="M${above.join("L")}L${below.toReversed().join("L")}Z"/>
${sideLabel("amplitude", WAVE)}`;
}

function pitchPanel(tracks: FeatureTracks | undefined, time: Axis): string {
  const voiced = tracks?.f0_hz.filter((hz) => hz > 0).toSorted((a, b) => a - b) ?? [];
  const label = sideLabel("pitch in Hz", PITCH);
  if (tracks === undefined || voiced.length === 0) {
    const middle = (PITCH.top + PITCH.bottom) / 2;
    const why = tracks === undefined ? "pitch was not measured" : "no voice";
    return `${frame(PITCH)}${label}<text class="note" x="${(LEFT + RIGHT) / 2}" y="${middle}" text-anchor="middle">${why}</text>`;
  }
  // The outermost hundredths are where a pitch is most often taken an octave wrong; the axis leaves room for them.
  const from = Math.min(75, (voiced[Math.floor(voiced.length * 0.01)] ?? 75) * 0.9);
  const to = Math.max(300, (voiced[Math.floor(voiced.length * 0.99)] ?? 300) * 1.1);
  const axis = pitchAxis([from, to], [PITCH.bottom, PITCH.top]);
  const lines = pitchLines(tracks, RIGHT - LEFT).map((line) =>
    line
      .map(({ t_s, hz }) => point(time(t_s), axis(Math.min(to, Math.max(from, hz)))))
      // A line of one point is drawn as the dot that round ends make of it.
      .join("L"),
  );
  return `${axis.ticks.map((hz) => row(axis(hz), String(hz))).join("\n")}
<path class="${tracks.f0_hz.length > DENSE ? "pitch fine" : "pitch"}" d="${lines.map((line) => `M${line}${line.includes("L") ? "" : "h0"}`).join("")}"/>
${label}`;
}

function timeAxis(time: Axis, durationS: number): string {
  const { unit, label } = timeLabels(durationS);
  const ticks = time.ticks.map(
    (tick) =>
      `<line class="tick" x1="${px(time(tick))}" x2="${px(time(tick))}" y1="${PITCH.bottom}" y2="${PITCH.bottom + 6}"/><text class="note" x="${px(time(tick))}" y="${PITCH.bottom + 22}" text-anchor="middle">${label(tick)}</text>`,
  );
  return `<line class="tick" x1="${LEFT}" x2="${px(time(durationS))}" y1="${PITCH.bottom}" y2="${PITCH.bottom}"/>
${ticks.join("\n")}
<text class="note" x="${(LEFT + RIGHT) / 2}" y="${PITCH.bottom + 44}" text-anchor="middle">time in ${unit}</text>`;
}

function row(y: number, label: string): string {
  return `<line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${px(y)}" y2="${px(y)}"/><text class="note" x="${LEFT - 10}" y="${px(y + 4)}" text-anchor="end">${label}</text>`;
}

function frame({ top, bottom }: typeof WAVE): string {
  return `<line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${top}" y2="${top}"/><line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${bottom}" y2="${bottom}"/>`;
}

function sideLabel(text: string, { top, bottom }: typeof WAVE): string {
  return `<text class="note" text-anchor="middle" transform="translate(20 ${(top + bottom) / 2}) rotate(-90)">${text}</text>`;
}

function legend(names: readonly (keyof typeof keys)[]): string {
  let x = RIGHT - names.reduce((sum, name) => sum + keys[name].width, 0);
  return names
    .map((name) => {
      const at = x;
      x += keys[name].width;
      return `<rect class="${keys[name].style}" x="${at}" y="27" width="14" height="10" rx="2"/><text class="note" x="${at + 20}" y="36">${name}</text>`;
    })
    .join("\n");
}

function point(x: number, y: number): string {
  return `${px(x)} ${px(y)}`;
}

function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escapeXml(text: string): string {
  // XML has no place for control characters and halves of a pair, and file names do.
  return text
    .replaceAll(/[\p{Cc}\p{Cs}\uFFFE\uFFFF]/gu, " ")
    .replaceAll(/[&<>"]/g, (sign) => `&#${sign.codePointAt(0)};`);
}

/** Names are cut where the legend begins. */
function shorten(text: string): string {
  if (text.length <= MOST_SIGNS) return text;
  const signs = Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment);
  return signs.length <= MOST_SIGNS ? text : `${signs.slice(0, MOST_SIGNS - 1).join("")}…`;
}
