import { expect, test } from "vitest";
import {
  emptyJobHistory,
  estimateJob,
  learnJob,
  type JobHistory,
} from "../../shared/policies/job-estimate.ts";

const asked = { kind: "analysis", parts: ["features"] } as const;
const spec = { ...asked, parts: [...asked.parts] };
const upload = (bytes: number, contentType?: string) => ({ bytes, contentType });
const of = (bytes: number, contentType?: string, history = emptyJobHistory) =>
  estimateJob(history, spec, upload(bytes, contentType));

test("a megabyte of a dense format is more work than one of wav, and twice the bytes twice the work", () => {
  const mb = 1_000_000;
  const types = ["audio/wav", "audio/flac", "audio/mpeg", "audio/ogg; codecs=opus"];
  const works = types.map((type) => of(mb, type));
  expect(works).toEqual(works.toSorted((a, b) => a - b));
  expect(new Set(works).size).toBe(types.length);
  for (const type of types) expect(of(2 * mb, type) / of(mb, type)).toBeCloseTo(2, 6);
});

test.each([
  ["audio/x-wav", "audio/wav"],
  ["AUDIO/WAVE", "audio/wav"],
  ["audio/mp3", "audio/mpeg"],
  ["audio/opus", "audio/ogg"],
  ["audio/x-m4a", "audio/mp4"],
  ["video/webm; codecs=opus", "audio/webm"],
  ["application/octet-stream", undefined],
  ["audio/constructor", undefined],
])("%s counts as %s", (given, as) => {
  expect(of(500_000, given)).toBe(of(500_000, as));
});

test("how dense recordings of a type really are is learnt, and tells nothing of other types", () => {
  let history: JobHistory = emptyJobHistory;
  // 8 kHz telephone wav: eight times as long as its bytes let expect.
  for (let n = 0; n < 50; n++) {
    const job = { ...upload(8_000 * 60, "audio/wav"), audioSeconds: 60, computeSeconds: 12 };
    history = learnJob(history, spec, job);
  }
  const wav = of(8_000 * 60, "audio/wav", history);
  expect(wav).toBeGreaterThan(10);
  expect(wav).toBeLessThan(16);
  const others = (known: JobHistory) => of(1_000_000, "audio/mpeg", known);
  const rate = learnJob(emptyJobHistory, spec, {
    ...upload(16_000 * 60, "audio/mpeg"),
    audioSeconds: 60,
    computeSeconds: 12,
  });
  expect(others(history) / others(rate)).toBeLessThan(1.5);
});

test("a run that says nothing of length or time teaches nothing", () => {
  for (const wrong of [
    { audioSeconds: 0 },
    { computeSeconds: 0 },
    { computeSeconds: Number.NaN },
  ]) {
    const job = { ...upload(1000, "audio/wav"), audioSeconds: 1, computeSeconds: 1, ...wrong };
    expect(learnJob(emptyJobHistory, spec, job).compute).toEqual(emptyJobHistory.compute);
  }
});

test("a client that asks for ever other models cannot make the history grow without end", () => {
  let history: JobHistory = emptyJobHistory;
  for (let n = 0; n < 300; n++) {
    const job = { ...upload(64_000, "audio/wav"), audioSeconds: 1, computeSeconds: 1 };
    history = learnJob(history, { ...spec, model: `model-${n}` }, job);
  }
  expect(Object.keys(history.compute.rates).length).toBeLessThanOrEqual(101);
  expect(Object.keys(history.audio.rates).length).toBeLessThanOrEqual(10);
});
