import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  decodeWindows,
  languageProbabilities,
} from "../../../regions/speech/transcription/whisper/decode-windows.ts";
import type {
  DecodeWindowsOptions,
  WindowToDecode,
} from "../../../regions/speech/transcription/whisper/decode-windows.ts";
import { loadWhisper } from "../../../regions/speech/transcription/whisper/load-whisper.ts";
import type { LoadedWhisper } from "../../../regions/speech/transcription/whisper/load-whisper.ts";
import {
  createLogMel,
  WINDOW_FRAMES,
  WINDOW_SAMPLES,
} from "../../../regions/speech/transcription/whisper/log-mel.ts";
import { applyTokenRules } from "../../../regions/speech/transcription/whisper/token-rules.ts";
import type { WhisperRuntime } from "../../../regions/speech/transcription/whisper/whisper-runtime.ts";
import {
  filesOf,
  readPrompt,
  readReference,
  tinyWhisperFolder,
  toFloat,
} from "./whisper-fixture.ts";

const reference = await readReference();
const prompts = Object.entries(reference.recordings);
const BANDS = 80;
const SIZE = BANDS * WINDOW_FRAMES;

/** Largest difference between values and those that they should be. */
function furthest(found: ArrayLike<number>, wanted: readonly number[]): number {
  return Math.max(...wanted.map((value, i) => Math.abs(value - found[i]!)));
}

describe("features", () => {
  const logMel = createLogMel(BANDS);

  test.each(prompts)("%s agrees with transformers to 1e-4", async (name, { mel }) => {
    const out = new Float32Array(SIZE);
    logMel.write(toFloat(await readPrompt(name)), out, 0);
    for (const [frame, wanted] of Object.entries(mel.frames)) {
      const found = Float64Array.from(
        { length: BANDS },
        (_, band) => out[band * WINDOW_FRAMES + Number(frame)]!,
      );
      expect(furthest(found, wanted), `frame ${frame}`).toBeLessThan(1e-4);
    }
    const mean = out.reduce((sum, value) => sum + value, 0) / SIZE;
    const square = out.reduce((sum, value) => sum + (value - mean) ** 2, 0) / SIZE;
    expect(mean).toBeCloseTo(mel.mean, 5);
    expect(Math.sqrt(square)).toBeCloseTo(mel.deviation, 5);
    expect(Math.max(...out.subarray(0, WINDOW_FRAMES))).toBeLessThanOrEqual(mel.highest + 1e-4);
    expect(out.reduce((a, b) => Math.min(a, b))).toBeCloseTo(mel.lowest, 4);
  });

  test("a tone lies in its band, in 128 bands as in 80", () => {
    const tone = Float32Array.from({ length: WINDOW_SAMPLES }, (_, i) =>
      Math.sin((2 * Math.PI * 1000 * i) / 16_000),
    );
    const out = new Float32Array(128 * WINDOW_FRAMES);
    createLogMel(128).write(tone, out, 0);
    const bands = Array.from({ length: 128 }, (_, band) => out[band * WINDOW_FRAMES + 1500]!);
    const step = (15 + (Math.log(8) / Math.log(6.4)) * 27) / 129;
    expect(bands.indexOf(Math.max(...bands))).toBe(Math.round(15 / step) - 1);
    // All of 30 s were heard, the last frame too.
    expect(out[bands.indexOf(Math.max(...bands)) * WINDOW_FRAMES + 2999]).toBeGreaterThan(1);
  });

  test("the first frame hears the beginning reflected, so that an even tone goes on before it", () => {
    const tone = Float32Array.from({ length: 16_000 }, (_, i) => Math.cos((Math.PI * i) / 8));
    const out = new Float32Array(SIZE);
    logMel.write(tone, out, 0);
    for (let band = 0; band < BANDS; band += 1) {
      const row = band * WINDOW_FRAMES;
      expect(out[row]).toBeCloseTo(out[row + 50]!, 4);
    }
  });

  test("silence and nothing at all are the same, and finite", () => {
    const nothing = new Float32Array(SIZE);
    const silence = new Float32Array(SIZE);
    logMel.write(new Float32Array(0), nothing, 0);
    logMel.write(new Float32Array(16_000), silence, 0);
    expect(nothing).toEqual(silence);
    expect(nothing.every((value) => value === -1.5)).toBe(true);
  });

  test("more than 30 s are refused", () => {
    const long = new Float32Array(WINDOW_SAMPLES + 1);
    expect(() => logMel.write(long, new Float32Array(SIZE), 0)).toThrow(RangeError);
  });
});

test("an answer does not begin with what may not begin one, and may go on with it", () => {
  const model = {
    vocabulary: 20,
    tokens: {
      end: 8,
      start: 9,
      transcribe: 10,
      translate: 11,
      noSpeech: 12,
      noTimestamps: 13,
      firstTime: 14,
    },
    suppress: [1],
    suppressAtBegin: [2, 8],
    maxInitialTime: undefined,
  };
  const forbidden = (said: readonly number[]) => {
    const logits = new Float32Array(20);
    applyTokenRules(logits, said, model, false);
    return [...logits.keys()].filter((token) => logits[token] === -Infinity);
  };
  expect(forbidden([])).toEqual([1, 2, 8]);
  expect(forbidden([3])).toEqual([1]);
});

describe("decoding", () => {
  let whisper: LoadedWhisper;
  let features: Float32Array;
  const greedy = (): DecodeWindowsOptions => ({
    task: "transcribe",
    timestamps: true,
    maxTokens: reference.max_new_tokens,
    textOf: whisper.textOf,
    temperatures: [0],
  });

  beforeAll(async () => {
    whisper = await loadWhisper(await filesOf(tinyWhisperFolder), { threads: 1 });
    features = new Float32Array(prompts.length * SIZE);
    const logMel = createLogMel(BANDS);
    for (const [i, [name]] of prompts.entries()) {
      logMel.write(toFloat(await readPrompt(name)), features, i * SIZE);
    }
  });
  afterAll(() => whisper.release());

  /** The tokens that the reference gives, without their end. */
  const withoutEnd = (tokens: readonly number[]) =>
    tokens.filter((token) => token !== whisper.model.tokens.end);

  const decode = (
    windows: readonly WindowToDecode[],
    options: Partial<DecodeWindowsOptions> = {},
  ) =>
    decodeWindows(
      whisper.runtime,
      whisper.model,
      features.slice(0, windows.length * SIZE),
      windows,
      { ...greedy(), ...options },
    );

  test("the encoder's answers are PyTorch's", async () => {
    const { hidden } = (await whisper.runtime.encode(features, prompts.length)) as unknown as {
      hidden: { data: Float32Array };
    };
    const { width } = whisper.model;
    for (const [i, [, { encoder }]] of prompts.entries()) {
      for (const [row, wanted] of Object.entries(encoder.rows)) {
        const at = (i * 1500 + Number(row)) * width;
        expect(furthest(hidden.data.subarray(at, at + width), wanted)).toBeLessThan(1e-3);
      }
    }
  });

  test("languages and the chance of no speech are PyTorch's", async () => {
    const { start } = whisper.model.tokens;
    const encoded = await whisper.runtime.encode(features, prompts.length);
    const { logits } = await whisper.runtime.decodeStep(
      encoded,
      prompts.map(() => start),
    );
    const heard = await decode(prompts.map(() => ({})));
    for (const [i, [, { languages, no_speech }]] of prompts.entries()) {
      const { vocabulary } = whisper.model;
      const own = logits.subarray(i * vocabulary, (i + 1) * vocabulary);
      const found = languageProbabilities(whisper.model, own);
      expect([...found.keys()].toSorted()).toEqual(Object.keys(languages).toSorted());
      for (const [language, probability] of found) {
        expect(probability, language).toBeCloseTo(languages[language]!, 4);
      }
      const [likeliest] = Object.entries(languages).toSorted(([, a], [, b]) => b - a);
      expect(heard[i]!.language).toBe(likeliest![0]);
      expect(heard[i]!.languageProbability).toBeCloseTo(likeliest![1], 4);
      expect(heard[i]!.noSpeech).toBeCloseTo(no_speech, 5);
    }
  });

  test("a batch with timestamps says PyTorch's tokens", async () => {
    const heard = await decode(prompts.map(() => ({ language: "en" })));
    for (const [i, [name, { with_timestamps }]] of prompts.entries()) {
      expect(heard[i]!.tokens, name).toEqual(withoutEnd(with_timestamps.tokens));
      expect(heard[i]!.averageLogprob).toBeCloseTo(with_timestamps.average_logprob, 3);
      expect(heard[i]!.ended).toBe(with_timestamps.tokens.at(-1) === whisper.model.tokens.end);
    }
    // Otherwise nothing would be seen of rows that end before others.
    expect(new Set(heard.map((one) => one!.ended)).size).toBe(2);
  });

  test("a batch without timestamps says PyTorch's tokens and text", async () => {
    const heard = await decode(
      prompts.map(() => ({ language: "en" })),
      { timestamps: false },
    );
    for (const [i, [name, { without_timestamps }]] of prompts.entries()) {
      expect(heard[i]!.tokens, name).toEqual(withoutEnd(without_timestamps.tokens));
      expect(heard[i]!.averageLogprob).toBeCloseTo(without_timestamps.average_logprob, 3);
      expect(whisper.textOf(heard[i]!.tokens)).toBe(without_timestamps.text);
    }
  });

  test("another language and task lead to PyTorch's tokens for them", async () => {
    const heard = await decode(
      prompts.map(() => ({ language: "de" })),
      { task: "translate" },
    );
    for (const [i, [name, { german_translated }]] of prompts.entries()) {
      expect(heard[i]!.tokens, name).toEqual(withoutEnd(german_translated.tokens));
    }
  });

  test("alone a window says what it says in a batch, also when drawn by chance", async () => {
    const temperatures = [0.8];
    const together = await decode(
      prompts.map((_, i) => (i === 1 ? { language: "fr" } : {})),
      { temperatures },
    );
    for (const i of prompts.keys()) {
      const [alone] = await decodeWindows(
        whisper.runtime,
        whisper.model,
        features.slice(i * SIZE, (i + 1) * SIZE),
        [i === 1 ? { language: "fr" } : {}],
        { ...greedy(), temperatures },
      );
      expect(alone!.tokens).toEqual(together[i]!.tokens);
      expect(alone!.averageLogprob).toBeCloseTo(together[i]!.averageLogprob, 4);
    }
  });

  test("what is not plausible is tried again, warmer; what goes round in circles is said to", async () => {
    const temperatures = [0, 0.4];
    const windows = [{ language: "en" }];
    const [cold] = await decode(windows, { textOf: () => "plain" });
    expect(cold).toMatchObject({ verdict: "unsure", temperature: 0 });
    const [warm] = await decode(windows, { temperatures, textOf: () => "plain" });
    expect(warm).toMatchObject({ verdict: "unsure", temperature: 0.4 });
    expect(warm!.tokens).not.toEqual(cold!.tokens);
    const textOf = () => "again and again ".repeat(20);
    const [circling] = await decode(windows, { temperatures, textOf });
    expect(circling).toMatchObject({ verdict: "repetitive", temperature: 0.4 });
  });

  test("where the model thinks that nobody speaks, and is unsure of its text, it is silence", async () => {
    const { noSpeech, start } = whisper.model.tokens;
    const runtime: WhisperRuntime = {
      ...whisper.runtime,
      async decodeStep(state, tokens) {
        const step = await whisper.runtime.decodeStep(state, tokens);
        if (tokens[0] === start) step.logits[noSpeech] = 100;
        return step;
      },
    };
    const [one] = await decodeWindows(
      runtime,
      whisper.model,
      features.slice(0, SIZE),
      [{ language: "en" }],
      { ...greedy(), temperatures: [0, 0.4] },
    );
    // It was not tried again: there is nothing to be heard.
    expect(one).toMatchObject({ verdict: "silence", temperature: 0 });
  });

  test("an answer has no more tokens than the model has places for", async () => {
    const [long] = await decode([{ language: "en" }], { maxTokens: 10_000, timestamps: false });
    expect(long!.tokens.length).toBeLessThanOrEqual(whisper.model.maxTokens - 4);
  });

  test("an aborted row leaves, and the others say what they would have said", async () => {
    const abort = new AbortController();
    const sizes: number[] = [];
    const runtime: WhisperRuntime = {
      ...whisper.runtime,
      decodeStep(state, tokens) {
        sizes.push(state.rows);
        if (sizes.length === 5) abort.abort();
        return whisper.runtime.decodeStep(state, tokens);
      },
    };
    const windows = [{ signal: abort.signal }, {}, { signal: abort.signal }].map((window) => ({
      language: "en",
      ...window,
    }));
    const heard = await decodeWindows(runtime, whisper.model, features, windows, greedy());
    const [, [, stays]] = prompts as [(typeof prompts)[number], (typeof prompts)[number]];
    expect(heard[1]!.tokens).toEqual(withoutEnd(stays.with_timestamps.tokens));
    expect([heard[0], heard[2]]).toEqual([undefined, undefined]);
    expect(sizes.slice(0, 5)).toEqual([3, 3, 3, 3, 3]);
    expect(sizes[5]).toBe(1);
  });

  test("nothing runs on when all rows are aborted", async () => {
    const abort = new AbortController();
    let steps = 0;
    const runtime: WhisperRuntime = {
      ...whisper.runtime,
      decodeStep(state, tokens) {
        steps += 1;
        if (steps === 3) abort.abort();
        return whisper.runtime.decodeStep(state, tokens);
      },
    };
    const windows = prompts.map(() => ({ language: "en", signal: abort.signal }));
    await decodeWindows(runtime, whisper.model, features, windows, greedy());
    expect(steps).toBe(3);
  });

  test("a language that the model has not is refused", async () => {
    await expect(decode([{ language: "tlh" }])).rejects.toThrow("no language tlh");
  });
});
