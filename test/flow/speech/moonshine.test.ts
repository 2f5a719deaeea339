import { cp, mkdir, open, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { loadManifest } from "../../../regions/speech/models/load-manifest.ts";
import { createEngines } from "../../../regions/speech/transcription/choose-engine.ts";
import type { TranscriptRequest } from "../../../regions/speech/transcription/choose-engine.ts";
import { createMoonshine } from "../../../regions/speech/transcription/moonshine/create-moonshine.ts";
import type {
  MoonshineEngine,
  MoonshineOptions,
} from "../../../regions/speech/transcription/moonshine/create-moonshine.ts";
import { decodeSamples } from "../../../regions/speech/transcription/moonshine/decode-samples.ts";
import { loadMoonshine } from "../../../regions/speech/transcription/moonshine/load-moonshine.ts";
import type { LoadedMoonshine } from "../../../regions/speech/transcription/moonshine/load-moonshine.ts";
import {
  paddedLength,
  tokenLimit,
} from "../../../regions/speech/transcription/moonshine/pad-window.ts";
import { rowsAtOnce } from "../../../regions/speech/transcription/moonshine/rows-at-once.ts";
import type { EngineFile } from "../../../regions/speech/transcription/neural/model-files.ts";
import { countedSteps } from "./counted-steps.ts";
import { makeFolder } from "./fixtures.ts";
import {
  installTinyMoonshine,
  readMoonshineReference,
  tinyMoonshineFolder,
} from "./moonshine-fixture.ts";
import { filesOf, installTinyWhisper, readPrompt, toFloat } from "./whisper-fixture.ts";

const RATE = 16_000;
const threadEntry = new URL(
  "../../../regions/speech/transcription/moonshine/moonshine-thread.ts",
  import.meta.url,
);
const END = 2;
const { recordings } = await readMoonshineReference();
const names = Object.keys(recordings);
const modelFiles = await filesOf(tinyMoonshineFolder);
const spoken = new Map(
  await Promise.all(
    names.map(async (name) => [name, toFloat(await readPrompt(name))] as [string, Float32Array]),
  ),
);

let folder: Awaited<ReturnType<typeof makeFolder>>;
let loaded: LoadedMoonshine;
beforeAll(async () => {
  folder = await makeFolder();
  loaded = await loadMoonshine(modelFiles, 1);
});
afterAll(async () => {
  await loaded.release();
  await folder.remove();
});

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((engine) => engine.close()));
});

describe("figures of the reference implementation", () => {
  test.each(names)("the encoder hears %s as PyTorch does", async (name) => {
    const { samples, padded, encoder } = recordings[name]!;
    const own = spoken.get(name)!;
    expect(own).toHaveLength(samples);
    expect(paddedLength(samples)).toBe(padded);
    const values = new Float32Array(padded);
    values.set(own);
    const { hidden } = await loaded.runtime.encode(values, 1);
    expect(hidden.dims).toEqual([1, encoder.positions, loaded.model.width]);
    const found = hidden.data as Float32Array;
    for (const [at, row] of Object.entries(encoder.rows)) {
      const begin = Number(at) * loaded.model.width;
      for (const [i, value] of row.entries()) expect(found[begin + i]).toBeCloseTo(value, 4);
    }
    const magnitude = found.reduce((sum, value) => sum + Math.abs(value), 0) / found.length;
    expect(magnitude).toBeCloseTo(encoder.magnitude, 5);
    const power = found.reduce((sum, value) => sum + value * value, 0) / found.length;
    expect(Math.sqrt(power)).toBeCloseTo(encoder.deviation, 5);
  });

  test.each(names)(
    "the likeliest tokens of %s are PyTorch's, and so is their text",
    async (name) => {
      const { padded, tokens, average_logprob, text } = recordings[name]!;
      const windows = [{ samples: spoken.get(name)! }];
      const [answer] = await decodeSamples(loaded.runtime, loaded.model, windows, padded);
      expect(answer!.tokens).toEqual(tokens.filter((token) => token !== END));
      expect(answer!.ended).toBe(tokens.at(-1) === END);
      expect(answer!.averageLogprob).toBeCloseTo(average_logprob, 4);
      expect(loaded.textOf(tokens)).toBe(text);
    },
  );
});

describe("a batch", () => {
  /** Five windows of two seconds, of which some come to an end sooner than others. */
  const length = 2 * RATE;
  const windows = names.flatMap((name) => {
    const own = spoken.get(name)!.slice(0, length - 400);
    return [{ samples: own }, { samples: own.toReversed().slice(0, length - 4000) }];
  });

  test("says of each window what it says of it alone", async () => {
    const { runtime, model } = loaded;
    const together = await decodeSamples(runtime, model, windows, length);
    const ended = together.map((answer) => answer!.ended);
    expect(new Set(ended).size).toBe(2);
    for (const [i, window] of windows.entries()) {
      const [alone] = await decodeSamples(runtime, model, [window], length);
      expect(together[i]).toEqual({
        ...alone,
        averageLogprob: expect.closeTo(alone!.averageLogprob, 4),
      });
    }
  });

  test("goes on without what was cancelled", async () => {
    const { runtime, model } = loaded;
    const stop = new AbortController();
    let steps = 0;
    const stopping = {
      ...runtime,
      step: async (...input: Parameters<typeof runtime.step>) => {
        steps += 1;
        if (steps === 3) stop.abort();
        return runtime.step(...input);
      },
    };
    const [first, second] = windows;
    const some = [{ ...first!, signal: stop.signal }, second!];
    const [gone, stays] = await decodeSamples(stopping, model, some, length);
    const [alone] = await decodeSamples(runtime, model, [second!], length);
    expect(gone).toBeUndefined();
    expect(stays!.tokens).toEqual(alone!.tokens);
  });

  test("takes no window that is longer than the others", async () => {
    const { runtime, model } = loaded;
    const long = [...windows, { samples: new Float32Array(length + 1) }];
    await expect(decodeSamples(runtime, model, long, length)).rejects.toThrow("does not fit");
  });

  test("is of whole half seconds, and of as many tokens as can be said in it", () => {
    expect([0, 1, 8000, 8001].map(paddedLength)).toEqual([8000, 8000, 8000, 16_000]);
    expect(tokenLimit(2 * RATE, 194)).toBe(13);
    expect(tokenLimit(2.5 * RATE, 194)).toBe(17);
    expect(tokenLimit(60 * RATE, 194)).toBe(193);
  });

  test("is as large as memory allows: many short windows, or one long one", () => {
    const base = { heads: 8, width: 416 };
    expect([3, 10, 30].map((length_s) => rowsAtOnce(base, length_s * RATE))).toEqual([39, 6, 1]);
    expect(rowsAtOnce({ heads: 64, width: 4096 }, 30 * RATE)).toBe(1);
  });
});

/** A recording of which only what is written takes room on disk. */
async function spool(pieces: readonly { name?: string; at_s: number; length_s: number }[]) {
  const name = `recording${Math.random()}`;
  const file = await open(folder.path(`${name}.pcm`), "w");
  for (const { name: prompt, at_s, length_s } of pieces) {
    if (prompt === undefined) continue;
    const samples = (await readPrompt(prompt)).slice(0, length_s * RATE);
    await file.write(samples, 0, samples.byteLength, at_s * RATE * 2);
  }
  const { at_s, length_s } = pieces.at(-1)!;
  await file.truncate((at_s + length_s) * RATE * 2);
  await file.close();
  return {
    audio: { folder: folder.path(""), name, samples: (at_s + length_s) * RATE },
    utterances: pieces.map((piece) => ({
      start_s: piece.at_s,
      end_s: piece.at_s + piece.length_s,
    })),
  };
}

function start(options: MoonshineOptions = {}, files = modelFiles): MoonshineEngine {
  const engine = createMoonshine(
    {
      entry: { name: "moonshine-tiny-random", version: "1" },
      files: new Map(files.map((file) => [basename(file.path), file])),
      install: "npm run models",
    },
    options,
  );
  opened.push(engine);
  return engine;
}

const never = new AbortController().signal;

describe("utterances", () => {
  test("share a batch with those of other recordings that are as long, and come in order", async () => {
    const batches: number[] = [];
    const engine = start({ onBatch: (size) => batches.push(size) });
    const [a, b, c] = names as [string, string, string];
    const one = await spool([
      { name: b, at_s: 0, length_s: 2.75 },
      { name: a, at_s: 4, length_s: 1.6 },
      { name: c, at_s: 8, length_s: 2.6 },
    ]);
    const other = await spool([
      { name: c, at_s: 1, length_s: 3 },
      { name: b, at_s: 5, length_s: 1.75 },
    ]);
    const told: number[] = [];
    const [first, second] = await Promise.all([
      engine.transcribe(one.audio, one.utterances, {
        signal: never,
        onUtterance: ({ start_s }) => told.push(start_s),
      }),
      engine.transcribe(other.audio, other.utterances, { signal: never }),
    ]);
    // Of 3 s are three, of 2 s are two.
    expect(batches).toEqual([3, 2]);
    expect(told).toEqual([0, 4, 8]);
    expect(first.map(({ words }) => words.length > 0)).toEqual([true, true, true]);
    expect(new Set([...first, ...second].map(({ segments }) => segments?.[0]?.text)).size).toBe(5);
    const [alone] = await start().transcribe(other.audio, [other.utterances[1]!], {
      signal: never,
    });
    expect(second[1]!.words).toEqual(alone!.words);
  });

  test("are heard with whole samples, as the reference hears them", async () => {
    const [name] = names as [string];
    const { text, samples, average_logprob } = recordings[name]!;
    const length_s = Math.floor(samples / 160) / 100;
    const { audio, utterances } = await spool([{ name, at_s: 3600, length_s }]);
    const [heard] = await start().transcribe(audio, utterances, { signal: never, language: "en" });
    expect(heard!.words.map(({ word }) => word).join(" ")).toBe(text.trim());
    expect(heard!.words[0]!.start_s).toBe(3600);
    expect(heard!.words.at(-1)!.end_s).toBe(utterances[0]!.end_s);
    // A few samples fewer, at another scale of 16 bits.
    expect(heard!.average_logprob).toBeCloseTo(average_logprob, 2);
  });

  test("are told of run by run, so that a long one is not taken for one that hangs", async () => {
    const { count, startThread } = countedSteps(threadEntry);
    const { audio, utterances } = await spool([{ name: names[0]!, at_s: 0, length_s: 2 }]);
    await start({ startThread }).transcribe(audio, utterances, { signal: never });
    expect(count()).toBeGreaterThan(5);
  });

  test("whose text goes round in circles say nothing", async () => {
    // What follows the words is silence, over which the tiny model does not stop.
    const { audio, utterances } = await spool([{ name: names[1]!, at_s: 0, length_s: 24 }]);
    const [heard] = await start().transcribe(audio, utterances, { signal: never });
    expect(heard).toMatchObject({ verdict: "repetitive", words: [], segments: [] });
  });

  test("of another language, or of more than 30 s, are refused", async () => {
    const { audio, utterances } = await spool([{ at_s: 0, length_s: 31 }]);
    const engine = start();
    expect(await engine.languages()).toEqual(["en"]);
    await expect(
      engine.transcribe(audio, utterances, { signal: never, language: "de" }),
    ).rejects.toMatchObject({ code: "language_unsupported" });
    await expect(engine.transcribe(audio, utterances, { signal: never })).rejects.toThrow(
      "Moonshine hears 30 s at once",
    );
  });
});

describe("models that are not as they should be", () => {
  /** A copy of the model's folder, changed; its files are taken for right. */
  async function changed(change: (path: (name: string) => string) => Promise<unknown>) {
    const copy = folder.path(`model${Math.random()}`);
    await cp(tinyMoonshineFolder, copy, { recursive: true });
    const before = await filesOf(copy);
    await change((name) => join(copy, name));
    return { before, files: await filesOf(copy) };
  }
  const load = (files: readonly EngineFile[]) => loadMoonshine(files, 1);
  const edit = async (path: string, changes: Record<string, unknown>) => {
    const json = JSON.parse(await readFile(path, "utf8")) as object;
    await writeFile(path, JSON.stringify({ ...json, ...changes }));
  };

  test.each([
    ["config.json", { model_type: "whisper" }, "describes a whisper, not a moonshine"],
    ["config.json", { decoder_num_hidden_layers: 3 }, "no input past_key_values.2.decoder.key"],
    ["config.json", { vocab_size: 32_768 }, "logits has 333 in place of the 32768"],
    ["config.json", { hidden_size: 64 }, "encoder_hidden_states has 32 in place of the 64"],
    ["config.json", { decoder_num_attention_heads: 5 }, "5 heads cannot share a width of 32"],
    ["config.json", { decoder_num_key_value_heads: 1 }, "its heads share keys and values"],
    ["config.json", { eos_token_id: 333 }, "not all in its vocabulary"],
    ["config.json", { max_position_embeddings: "many" }, "max_position_embeddings"],
    ["tokenizer.json", { model: { type: "none" } }, "not what a Moonshine model has"],
  ])("%s says %j", async (name, changes, message) => {
    const { files } = await changed((path) => edit(path(name), changes));
    const error = { code: "model_unusable", fault: "mismatch", retryable: false };
    await expect(load(files)).rejects.toMatchObject(error);
    await expect(load(files)).rejects.toThrow(message);
  });

  test("encoder and decoder are swapped, or a graph was cut short", async () => {
    const swapped = await changed(async (path) => {
      await rename(path("onnx/encoder_model.onnx"), path("onnx/kept"));
      await rename(path("onnx/decoder_model_merged.onnx"), path("onnx/encoder_model.onnx"));
      await rename(path("onnx/kept"), path("onnx/decoder_model_merged.onnx"));
    });
    await expect(load(swapped.files)).rejects.toThrow(
      "The encoder cannot be run as a Moonshine's: it has no input input_values",
    );
    const cut = await changed((path) => truncate(path("onnx/encoder_model.onnx"), 100_000));
    await expect(load(cut.files)).rejects.toMatchObject({ fault: "corrupt" });
    await expect(load(cut.before)).rejects.toThrow("encoder_model.onnx has the SHA-256");
  });

  test("the engine says so, with what mends it, and loads the model once it is right", async () => {
    const { audio, utterances } = await spool([{ name: names[0]!, at_s: 0, length_s: 1 }]);
    let path = "";
    const { before } = await changed(async (at) => {
      path = at("config.json");
      await rename(path, `${path}.kept`);
    });
    const engine = start({}, before);
    await expect(engine.transcribe(audio, utterances, { signal: never })).rejects.toMatchObject({
      code: "model_unusable",
      message:
        "moonshine-tiny-random: The model's config.json is missing or cannot be read. To install it again: npm run models",
    });
    await rename(`${path}.kept`, path);
    expect(await engine.transcribe(audio, utterances, { signal: never })).toHaveLength(1);
  });
});

describe("the engine of a transcript", () => {
  /** A machine with both tiny models, of which the manifest names the Moonshine first. */
  async function machine() {
    const home = folder.path(`machine${Math.random()}`);
    await mkdir(home);
    const whisper = await installTinyWhisper(home);
    const moonshine = await installTinyMoonshine(home);
    const models = [moonshine.entry, whisper.entry];
    await writeFile(moonshine.manifest, JSON.stringify({ models }));
    const engines = createEngines({
      manifest: loadManifest(moonshine.manifest, moonshine.models),
      searchPath: process.env["PATH"] ?? "",
    });
    opened.push(engines);
    const chosen = async (request: TranscriptRequest = {}) => {
      const engine = await engines.choose(request);
      return "status" in engine ? engine : (await engine.describe()).name;
    };
    return { chosen, removeWhisper: () => rm(whisper.installed, { recursive: true }) };
  }

  test("is Whisper before Moonshine, and Moonshine when it is asked for", async () => {
    const { chosen } = await machine();
    expect(await chosen()).toBe("whisper-tiny-random");
    expect(await chosen({ language: "en" })).toBe("whisper-tiny-random");
    expect(await chosen({ model: "moonshine-tiny-random" })).toBe("moonshine-tiny-random");
  });

  test("is Moonshine before PocketSphinx, of English and of what nobody named", async () => {
    const { chosen, removeWhisper } = await machine();
    await removeWhisper();
    expect(await chosen()).toBe("moonshine-tiny-random");
    expect(await chosen({ language: "en", model: "whisper-1" })).toBe("moonshine-tiny-random");
    await expect(chosen({ language: "de" })).rejects.toMatchObject({
      code: "language_unsupported",
      message: "What is installed here does not know the language de, but en.",
    });
  });
});
