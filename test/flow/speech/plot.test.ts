import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { XMLParser, XMLValidator } from "fast-xml-parser";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAnalyzer } from "../../../regions/speech/analyze.ts";
import { createDecoder } from "../../../regions/speech/decode/decoder.ts";
import { createFeaturesThread } from "../../../regions/speech/features/create-features-thread.ts";
import { createInferenceThread } from "../../../regions/speech/inference/create-inference-thread.ts";
import { linearAxis, timeLabels } from "../../../scripts/cli/plot/axis.ts";
import { measureWaveform } from "../../../scripts/cli/plot/measure-waveform.ts";
import { pitchLines } from "../../../scripts/cli/plot/pitch-lines.ts";
import { renderPlot } from "../../../scripts/cli/plot/render-plot.ts";
import type { PlotInput } from "../../../scripts/cli/plot/render-plot.ts";
import { writePlot } from "../../../scripts/cli/plot/write-plot.ts";
import type { AnalysisResult } from "../../../shared/contracts/analysis-result.ts";
import { decodeAll, makeFolder, samplePath } from "./fixtures.ts";

const decoder = createDecoder({ maxProcesses: 1 });
const inference = createInferenceThread();
const features = createFeaturesThread();
let folder: Awaited<ReturnType<typeof makeFolder>>;
beforeAll(async () => {
  folder = await makeFolder();
});
afterAll(async () => {
  await decoder.close();
  await inference.close();
  await features.close();
  await folder.remove();
});

interface Element {
  class: string;
  x: string;
  y: string;
  width: string;
  d: string;
  "#text": string;
}
interface Drawing {
  svg: { title: Element; rect: Element[]; path: Element[]; text: Element[]; line: Element[] };
}

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: "",
  trimValues: false,
  parseTagValue: false,
  htmlEntities: true,
  isArray: (name) => ["rect", "path", "text", "line"].includes(name),
});

/** Reads a drawing as a viewer would: it must be well-formed, and every number in it a number. */
function read(svg: string): Drawing["svg"] {
  expect(XMLValidator.validate(svg)).toBe(true);
  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  expect(svg).not.toMatch(/(?!\n)\p{Cc}|\p{Cs}/u);
  return (parser.parse(svg) as Drawing).svg;
}

const flat = { stepS: 0.5, low: new Float32Array(4), high: new Float32Array(4) };
const plain: PlotInput = { title: "x", subtitle: "", durationS: 2, waveform: flat };
const LEFT = 76;
const RIGHT = 1172;

test("a recording is drawn with its waveform, its pitch and its speech where they are", async () => {
  const parts = ["voice_activity", "features", "speaking_rate"] as const;
  const analyzer = createAnalyzer({ decoder, inference, features });
  const result = await analyzer.analyze(samplePath, { parts });
  const target = folder.path("drawn.svg");
  const { signal } = new AbortController();
  await writePlot(samplePath, result as unknown as AnalysisResult, target, signal);
  const svg = read(await readFile(target, "utf8"));
  expect(svg.title["#text"]).toBe("hello-antiphon.wav: waveform, pitch and speech");
  const says = svg.text.map((text) => text["#text"]);
  expect(says[1]).toMatch(/^2\.66 s · pitch median 2\d\d Hz.* syllables\/s/);
  for (const name of [
    "speech",
    "waveform",
    "pitch",
    "amplitude",
    "pitch in Hz",
    "time in seconds",
  ]) {
    expect(says).toContain(name);
  }
  const bands = svg.rect.filter((rect) => rect.class === "speech");
  const segments = (result.voice_activity as { segments: { start_s: number }[] }).segments;
  expect(bands).toHaveLength(segments.length);
  const xOf = (time_s: number) => LEFT + (time_s / result.audio.duration_s) * (RIGHT - LEFT);
  expect(Number(bands[0]?.x)).toBeCloseTo(xOf(segments[0]!.start_s), 0);
  const [wave, pitch] = svg.path;
  for (const [path, top, bottom] of [
    [wave, 92, 252],
    [pitch, 284, 462],
  ] as const) {
    const points = [...path!.d.matchAll(/(-?[\d.]+) (-?[\d.]+)/g)];
    expect(points.length).toBeGreaterThan(100);
    for (const [, x, y] of points) {
      expect(Number(x)).toBeGreaterThanOrEqual(LEFT);
      expect(Number(x)).toBeLessThanOrEqual(RIGHT + 0.5);
      expect(Number(y)).toBeGreaterThanOrEqual(top);
      expect(Number(y)).toBeLessThanOrEqual(bottom);
    }
  }
});

test("ten hours make no larger drawing than a minute does", () => {
  const hours = 36_000;
  const frames = 360_000;
  const svg = renderPlot({
    title: "long.wav",
    subtitle: "ten hours",
    durationS: hours,
    waveform: {
      stepS: hours / 2000,
      low: Float32Array.from({ length: 2000 }, (_, i) => -Math.abs(Math.sin(i))),
      high: Float32Array.from({ length: 2000 }, (_, i) => Math.abs(Math.cos(i))),
    },
    tracks: {
      hop_s: 0.1,
      f0_hz: Array.from({ length: frames }, (_, i) => (i % 7 < 4 ? 100 + (i % 50) : 0)),
      loudness: [],
    },
    segments: Array.from({ length: hours / 2 }, (_, i) => ({ start_s: 2 * i, end_s: 2 * i + 1 })),
  });
  expect(svg.length).toBeLessThan(150_000);
  const { rect, text } = read(svg);
  expect(rect.filter(({ class: name }) => name === "speech").length).toBeLessThan(1200);
  expect(text.map((label) => label["#text"])).toEqual(
    expect.arrayContaining(["0:00", "10:00", "time in hours and minutes"]),
  );
});

test("any file name and any figures make a well-formed drawing that shows them", () => {
  const figure = fc.float({ min: -8, max: 8, noNaN: true });
  const name = fc.string({ unit: "binary", minLength: 1, maxLength: 120 });
  fc.assert(
    fc.property(
      fc.oneof(name, fc.constantFrom('a<b>&"c"\'.wav', "]]>", "<script>", "\ud800.wav", "\u0000")),
      fc.array(fc.tuple(figure, figure), { minLength: 1, maxLength: 50 }),
      fc.array(fc.oneof(fc.constant(0), fc.float({ min: 50, max: 1000, noNaN: true })), {
        maxLength: 60,
      }),
      fc.double({ min: 6.25e-5, max: 1e5, noNaN: true }),
      (title, outline, f0_hz, durationS) => {
        const svg = read(
          renderPlot({
            title,
            subtitle: title,
            durationS,
            waveform: {
              stepS: durationS / outline.length,
              low: Float32Array.from(outline, ([a, b]) => Math.min(a, b)),
              high: Float32Array.from(outline, ([a, b]) => Math.max(a, b)),
            },
            tracks: { hop_s: 0.01, f0_hz, loudness: [] },
            segments: [{ start_s: 0, end_s: durationS }],
          }),
        );
        // Nothing of a name becomes an element.
        expect(Object.keys(svg)).not.toContain("script");
      },
    ),
    { numRuns: 200 },
  );
  expect(read(renderPlot({ ...plain, title: 'a<b>&"c".wav' })).title["#text"]).toMatch(/^a<b>&"c"/);
});

test("a name that is too long is cut before the legend", () => {
  const svg = read(renderPlot({ ...plain, title: "n".repeat(300) }));
  expect(svg.text[0]?.["#text"]).toMatch(/^n{60,70}…$/);
});

test("what was not measured is said to be missing, and is not in the legend", () => {
  const without = read(renderPlot(plain)).text.map((text) => text["#text"]);
  expect(without).toContain("pitch was not measured");
  expect(without).not.toContain("speech");
  const tracks = { hop_s: 0.01, f0_hz: [0, 0, 0], loudness: [0] };
  const silent = read(renderPlot({ ...plain, tracks, segments: [] }));
  expect(silent.text.map((text) => text["#text"])).toContain("no voice");
});

describe("the outline of a waveform", () => {
  test("has the peaks of the recording", async () => {
    const { samples } = await decodeAll(decoder, samplePath);
    const { low, high, stepS } = await measureWaveform(decoder, samplePath, { steps: 100 });
    expect(low.length).toBeGreaterThan(100);
    expect(low.length).toBeLessThanOrEqual(200);
    expect(low.length * stepS).toBeGreaterThanOrEqual(samples.length / 16_000);
    expect(Math.max(...high)).toBe(samples.reduce((top, value) => Math.max(top, value), -1));
    expect(Math.min(...low)).toBe(samples.reduce((least, value) => Math.min(least, value), 1));
    const size = Math.round(stepS * 16_000);
    for (let i = 0; i < low.length; i += 1) {
      const part = samples.subarray(i * size, (i + 1) * size);
      expect(high[i]).toBe(Math.max(...part));
      expect(low[i]).toBe(Math.min(...part));
    }
  });

  test("of an hour is as short as that of seconds", async () => {
    const path = await folder.silence("hour.wav", 3600);
    const { low, stepS } = await measureWaveform(decoder, path);
    expect(low.length).toBeLessThanOrEqual(2000);
    expect(low.length * stepS).toBeCloseTo(3600, -1);
  });
});

test("pitch is a line of neighbours, broken at pauses and leaps", () => {
  const f0_hz = [100, 101, 102, 0, 0, 200, 202, 90, 91];
  const lines = pitchLines({ hop_s: 0.01, f0_hz, loudness: [] }, 1000);
  expect(lines.map((line) => line.map(({ hz }) => hz))).toEqual([
    [100, 101, 102],
    [200, 202],
    [90, 91],
  ]);
  // The middle of a frame of 60 ms.
  expect(lines[1]?.[0]?.t_s).toBeCloseTo(0.08, 6);
});

test.each([
  [1, "seconds", "0.1"],
  [2.66, "seconds", "0.5"],
  [90, "seconds", "10"],
  [600, "minutes and seconds", "1:00"],
  [3600, "minutes and seconds", "10:00"],
  [36_000, "hours and minutes", "1:00"],
])("the axis of %f s is in %s with ticks as %s", (durationS, unit, second) => {
  const labels = timeLabels(durationS);
  const { ticks } = linearAxis([0, durationS], [LEFT, RIGHT], 10);
  expect(labels.unit).toBe(unit);
  expect(ticks.length).toBeGreaterThan(4);
  expect(ticks.length).toBeLessThan(14);
  expect(labels.label(ticks[1]!)).toBe(second);
  expect(new Set(ticks.map(labels.label)).size).toBe(ticks.length);
});
