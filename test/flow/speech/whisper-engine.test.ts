import { createHash } from "node:crypto";
import { once } from "node:events";
import { cp, open, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { SpeechSegment } from "../../../shared/contracts/analysis-result.ts";
import { createWhisper } from "../../../regions/speech/transcription/whisper/create-whisper.ts";
import type {
  WhisperEngine,
  WhisperOptions,
} from "../../../regions/speech/transcription/whisper/create-whisper.ts";
import { loadWhisper } from "../../../regions/speech/transcription/whisper/load-whisper.ts";
import type { EngineFile } from "../../../regions/speech/transcription/neural/model-files.ts";
import { spreadWords } from "../../../regions/speech/transcription/neural/spread-words.ts";
import { timedPieces } from "../../../regions/speech/transcription/whisper/timed-pieces.ts";
import type { SpooledAudio } from "../../../regions/speech/transcription/transcription-engine.ts";
import { countedSteps } from "./counted-steps.ts";
import { makeFolder } from "./fixtures.ts";
import { filesOf, readPrompt, readReference, tinyWhisperFolder } from "./whisper-fixture.ts";

const names = Object.keys((await readReference()).recordings);
const modelFiles = await filesOf(tinyWhisperFolder);
const RATE = 16_000;
const threadEntry = new URL(
  "../../../regions/speech/transcription/whisper/whisper-thread.ts",
  import.meta.url,
);

let folder: Awaited<ReturnType<typeof makeFolder>>;
beforeAll(async () => {
  folder = await makeFolder();
});
afterAll(() => folder.remove());

const engines: WhisperEngine[] = [];
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.close()));
});

/** The tiny Whisper, which says a dozen tokens of each utterance, the likeliest ones. */
function start(options: WhisperOptions = {}, files: readonly EngineFile[] = modelFiles) {
  const engine = createWhisper(
    {
      entry: { name: "whisper-tiny-random", version: "1" },
      files: new Map(files.map((file) => [basename(file.path), file])),
      install: "npm run models",
    },
    { temperatures: [0], maxTokens: 12, ...options },
  );
  engines.push(engine);
  return engine;
}

let spooled = 0;
/** A recording of prompts at given times; between them is nothing at all, which takes no room on disk. */
async function spool(prompts: readonly { name: string; at_s: number }[]) {
  spooled += 1;
  const name = `recording${spooled}`;
  const file = await open(folder.path(`${name}.pcm`), "w");
  const utterances: SpeechSegment[] = [];
  for (const { name: prompt, at_s } of prompts) {
    const samples = await readPrompt(prompt);
    await file.write(samples, 0, samples.byteLength, at_s * RATE * 2);
    const end_s = Math.ceil((at_s + samples.length / RATE) * 100) / 100;
    utterances.push({ start_s: at_s, end_s });
  }
  const end_s = utterances.at(-1)?.end_s ?? 0;
  await file.truncate(end_s * RATE * 2 + RATE);
  await file.close();
  const audio: SpooledAudio = {
    folder: folder.path(""),
    name,
    samples: end_s * RATE + RATE / 2,
  };
  return { audio, utterances };
}

const never = new AbortController().signal;
const english = { signal: never, language: "en" };
const atStart = (name: string) => spool([{ name, at_s: 0 }]);

describe("utterances", () => {
  test("have words in order, in their place in the recording, told as they come", async () => {
    const engine = start();
    const { audio, utterances } = await spool(names.map((name, i) => ({ name, at_s: 2 + i * 10 })));
    const told: SpeechSegment[] = [];
    const spoken = await engine.transcribe(audio, utterances, {
      ...english,
      onUtterance: (utterance) => told.push(utterance),
    });
    expect(told).toEqual(spoken);
    expect(spoken.map(({ start_s, end_s }) => ({ start_s, end_s }))).toEqual(utterances);
    expect(spoken.every(({ verdict }) => verdict !== "repetitive")).toBe(true);
    expect(spoken.every(({ language }) => language === "en")).toBe(true);
    for (const { start_s, end_s, words, segments, text } of spoken) {
      expect(words.length).toBeGreaterThan(0);
      expect(words.map(({ word }) => word).join("")).toBe(text.replaceAll(/\s/g, ""));
      const times = words.flatMap((word) => [word.start_s, word.end_s]);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      expect(times[0]).toBeGreaterThanOrEqual(start_s);
      expect(times.at(-1)).toBeLessThanOrEqual(end_s);
      expect(segments.map((segment) => segment.text).join(" ")).toBe(text);
    }
    expect(await engine.describe()).toMatchObject({ name: "whisper-tiny-random", version: "1" });
  });

  test("an hour into a recording say the same, at times that have not drifted", async () => {
    const engine = start();
    const near = await atStart(names[0]!);
    const far = await spool([{ name: names[0]!, at_s: 3600 }]);
    const [early] = await engine.transcribe(near.audio, near.utterances, english);
    const [late] = await engine.transcribe(far.audio, far.utterances, english);
    expect(late!.text).toBe(early!.text);
    expect(late!.segments.length).toBeGreaterThan(0);
    for (const [i, { start_s, end_s }] of late!.segments.entries()) {
      expect(start_s - 3600).toBeCloseTo(early!.segments[i]!.start_s, 6);
      expect(end_s - 3600).toBeCloseTo(early!.segments[i]!.end_s, 6);
    }
  });

  test("get a language each where none was given", async () => {
    const reference = await readReference();
    const { audio, utterances } = await spool(names.map((name, i) => ({ name, at_s: i * 10 })));
    const spoken = await start().transcribe(audio, utterances, { signal: never });
    const likeliest = Object.values(reference.recordings).map(
      ({ languages }) => Object.entries(languages).toSorted(([, a], [, b]) => b - a)[0]![0],
    );
    expect(spoken.map(({ language }) => language)).toEqual(likeliest);
  });

  test("of several recordings share batches, one of each in turn", async () => {
    const batches: number[] = [];
    const engine = start({ maxBatch: 4, onBatch: (size) => batches.push(size) });
    const long = await spool(
      Array.from({ length: 6 }, (_, i) => ({ name: names[0]!, at_s: i * 5 })),
    );
    const short = await atStart(names[1]!);
    let longDone = 0;
    let longDoneBeforeShort = 0;
    const first = engine.transcribe(long.audio, long.utterances, {
      ...english,
      onUtterance: () => (longDone += 1),
    });
    const second = engine.transcribe(short.audio, short.utterances, english).then((spoken) => {
      longDoneBeforeShort = longDone;
      return spoken;
    });
    const [together, [other]] = await Promise.all([first, second]);
    expect(batches).toEqual([4, 3]);
    expect(longDoneBeforeShort).toBeLessThanOrEqual(3);
    const [alone] = await engine.transcribe(short.audio, short.utterances, english);
    expect(other).toEqual({ ...alone, average_logprob: expect.closeTo(alone!.average_logprob, 4) });
    expect(new Set(together.map(({ text }) => text)).size).toBe(1);
  });

  test("none give nothing, and start nothing", async () => {
    let started = 0;
    const engine = start({
      startThread: () => {
        started += 1;
        return new Worker("", { eval: true });
      },
    });
    const { audio } = await spool([]);
    expect(await engine.transcribe(audio, [], english)).toEqual([]);
    expect(started).toBe(0);
  });

  test("of more than 30 s are refused", async () => {
    const { audio } = await spool([{ name: names[0]!, at_s: 40 }]);
    const long = [{ start_s: 0, end_s: 31 }];
    await expect(start().transcribe(audio, long, english)).rejects.toThrow("30 s at once");
  });
});

describe("an end before the end", () => {
  test("aborted in a batch, one recording leaves and the other goes on", async () => {
    const abort = new AbortController();
    const reason = new Error("not wanted any more");
    const replies: string[] = [];
    const engine = start({
      maxBatch: 2,
      onBatch: () => abort.abort(reason),
      startThread: (workerData) => {
        const thread = new Worker(threadEntry, { workerData });
        thread.on("message", ({ type }: { type: string }) => replies.push(type));
        return thread;
      },
    });
    const unwanted = await spool(names.map((name, i) => ({ name, at_s: i * 10 })));
    const wanted = await atStart(names[1]!);
    const left = engine.transcribe(unwanted.audio, unwanted.utterances, {
      ...english,
      signal: abort.signal,
    });
    const stays = engine.transcribe(wanted.audio, wanted.utterances, english);
    await expect(left).rejects.toBe(reason);
    const [spoken] = await stays;
    expect(replies.filter((type) => type !== "step")).toEqual(["left", "heard"]);
    const [alone] = await start().transcribe(wanted.audio, wanted.utterances, {
      ...english,
    });
    expect(spoken!.text).toBe(alone!.text);
  });

  test("a signal that is aborted already begins nothing", async () => {
    const batches: number[] = [];
    const engine = start({ onBatch: (size) => batches.push(size) });
    const { audio, utterances } = await atStart(names[0]!);
    const signal = AbortSignal.abort(new Error("too late"));
    await expect(engine.transcribe(audio, utterances, { signal })).rejects.toThrow("too late");
    expect(batches).toEqual([]);
  });

  test("closing ends what runs", async () => {
    let begun: () => void;
    const running = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const engine = start({ maxTokens: 200, onBatch: () => begun() });
    const { audio, utterances } = await atStart(names[0]!);
    const work = engine.transcribe(audio, utterances, english);
    const ended = expect(work).rejects.toMatchObject({ code: "transcriber_closed" });
    await running;
    await engine.close();
    await ended;
    await expect(engine.transcribe(audio, utterances, english)).rejects.toMatchObject({
      code: "transcriber_closed",
    });
  });

  test("a thread tells of each run of a graph, so that a long recording is not taken for one that hangs", async () => {
    const { count, startThread } = countedSteps(threadEntry);
    const engine = start({ maxTokens: 40, startThread });
    const { audio, utterances } = await atStart(names[0]!);
    await engine.transcribe(audio, utterances, english);
    // The encoder's, and one for each token that went in.
    expect(count()).toBeGreaterThan(5);
  });

  test("a thread that dies is started again, and what it was at is tried one by one", async () => {
    const batches: number[] = [];
    let threads = 0;
    const engine = start({
      onBatch: (size) => batches.push(size),
      startThread: (workerData) => {
        threads += 1;
        if (threads === 1) return new Worker("process.exit(3)", { eval: true });
        return new Worker(threadEntry, { workerData });
      },
    });
    const { audio, utterances } = await spool(names.map((name, i) => ({ name, at_s: i * 10 })));
    const spoken = await engine.transcribe(audio, utterances, english);
    expect(spoken).toHaveLength(3);
    expect(batches).toEqual([3, 1, 1, 1]);
    expect(threads).toBe(2);
  });

  test("a thread that always dies, or never answers, is an error", async () => {
    const { audio, utterances } = await atStart(names[0]!);
    const dying = start({ startThread: () => new Worker("process.exit(3)", { eval: true }) });
    await expect(dying.transcribe(audio, utterances, english)).rejects.toMatchObject({
      code: "transcriber_crashed",
    });
    const hung = start({
      stallMs: 20,
      startThread: () => new Worker("setInterval(() => {}, 1000)", { eval: true }),
    });
    await expect(hung.transcribe(audio, utterances, english)).rejects.toMatchObject({
      code: "transcriber_stalled",
    });
  });

  test("a thread that was given up in the middle of a run ends by itself, and takes nothing with it", async () => {
    const exits: Promise<unknown>[] = [];
    const { audio, utterances } = await spool(names.map((name, i) => ({ name, at_s: i * 10 })));
    const slow = start({
      stallMs: 1,
      maxTokens: 200,
      startThread: (workerData) => {
        const thread = new Worker(threadEntry, { workerData });
        exits.push(once(thread, "exit"));
        return thread;
      },
    });
    await expect(slow.transcribe(audio, utterances, english)).rejects.toMatchObject({
      code: "transcriber_stalled",
    });
    await Promise.all(exits);
    expect(exits.length).toBeGreaterThan(1);
    expect(await start().transcribe(audio, utterances, english)).toHaveLength(3);
  });

  test("a recording that cannot be read fails alone", async () => {
    const engine = start();
    const gone = await atStart(names[0]!);
    const there = await atStart(names[1]!);
    await rm(join(gone.audio.folder, `${gone.audio.name}.pcm`));
    const lost = engine.transcribe(gone.audio, gone.utterances, english);
    const [spoken] = await Promise.all([
      engine.transcribe(there.audio, there.utterances, english),
      expect(lost).rejects.toMatchObject({ code: "transcriber_crashed" }),
    ]);
    expect(spoken).toHaveLength(1);
  });
});

describe("models that are not as they should be", () => {
  let copies = 0;
  /** A copy of the model's folder, changed; `rehash` takes the changed files for right. */
  async function damaged(change: (path: (name: string) => string) => Promise<unknown>) {
    copies += 1;
    const copy = folder.path(`model${copies}`);
    await cp(tinyWhisperFolder, copy, { recursive: true });
    const path = (name: string) => join(copy, name);
    const before = await filesOf(copy);
    await change(path);
    return { before, rehashed: () => filesOf(copy) };
  }
  const load = (files: readonly EngineFile[]) => loadWhisper(files, { threads: 1 });
  const edit = async (path: string, changes: Record<string, unknown>) => {
    const json = JSON.parse(await readFile(path, "utf8")) as object;
    await writeFile(path, JSON.stringify({ ...json, ...changes }));
  };

  test("a file is not there", async () => {
    const { before, rehashed } = await damaged((path) => rm(path("onnx/encoder_model.onnx")));
    const error = { fault: "missing", retryable: false };
    await expect(load(before)).rejects.toMatchObject(error);
    await expect(load(await rehashed())).rejects.toThrow("The model has no encoder_model.onnx");
  });

  test("a file was cut short, against its hash and by itself", async () => {
    const graph = "onnx/decoder_model_merged.onnx";
    const { before, rehashed } = await damaged((path) => truncate(path(graph), 300_000));
    const error = { fault: "corrupt", retryable: false };
    await expect(load(before)).rejects.toMatchObject(error);
    await expect(load(before)).rejects.toThrow("decoder_model_merged.onnx has the SHA-256");
    await expect(load(await rehashed())).rejects.toMatchObject(error);
    const config = await damaged((path) => truncate(path("config.json"), 100));
    await expect(load(await config.rehashed())).rejects.toThrow("config.json is not JSON");
  });

  test("encoder and decoder are swapped", async () => {
    const { rehashed } = await damaged(async (path) => {
      await rename(path("onnx/encoder_model.onnx"), path("onnx/kept"));
      await rename(path("onnx/decoder_model_merged.onnx"), path("onnx/encoder_model.onnx"));
      await rename(path("onnx/kept"), path("onnx/decoder_model_merged.onnx"));
    });
    const loaded = load(await rehashed());
    await expect(loaded).rejects.toMatchObject({ fault: "mismatch" });
    await expect(loaded).rejects.toThrow(
      "The encoder cannot be run as a Whisper's: it has no input",
    );
  });

  test.each([
    ["config.json", { model_type: "moonshine" }, "describes a moonshine"],
    ["config.json", { decoder_layers: 4 }, "it has no input past_key_values.2.decoder.key"],
    ["config.json", { vocab_size: 51_865 }, "logits has 1814 in place of the 51865"],
    ["preprocessor_config.json", { feature_size: 128 }, "gives 128 mel bands"],
    ["preprocessor_config.json", { n_fft: 512 }, "n_fft"],
    ["generation_config.json", { no_timestamps_token_id: 5000 }, "not all in its vocabulary"],
    ["tokenizer.json", { model: { type: "none" } }, "tokenizer.json"],
  ])("%s says %j", async (name, changes, message) => {
    const { rehashed } = await damaged((path) => edit(path(name), changes));
    const loaded = load(await rehashed());
    await expect(loaded).rejects.toMatchObject({ fault: "mismatch" });
    await expect(loaded).rejects.toThrow(message);
  });

  test("the engine says so for each utterance, and loads the model once it is right", async () => {
    const config = "config.json";
    let whole = "";
    let at = "";
    const { before } = await damaged(async (path) => {
      at = path(config);
      whole = await readFile(at, "utf8");
      await rm(at);
    });
    const engine = start({}, before);
    const { audio, utterances } = await atStart(names[0]!);
    await expect(engine.transcribe(audio, utterances, english)).rejects.toMatchObject({
      code: "model_unusable",
      fault: "missing",
      message:
        "whisper-tiny-random: The model's config.json is missing or cannot be read. To install it again: npm run models",
    });
    await writeFile(at, whole);
    expect(await engine.transcribe(audio, utterances, english)).toHaveLength(1);
  });

  test("a language that the model has not is said to be missing", async () => {
    const { audio, utterances } = await atStart(names[0]!);
    const engine = start();
    const work = engine.transcribe(audio, utterances, { signal: never, language: "tlh" });
    await expect(work).rejects.toMatchObject({
      code: "language_unsupported",
      message: "The model whisper-tiny-random does not know the language tlh.",
    });
    expect(await engine.languages()).toContain("de");
  });

  test("all files count for the model's hash", async () => {
    const one = await start().describe();
    const { before } = await damaged((path) => Promise.resolve(path));
    const other = before.map((file, i) =>
      i === 0 ? { ...file, sha256: createHash("sha256").digest("hex") } : file,
    );
    expect((await start({}, before).describe()).model_sha256).toBe(one.model_sha256);
    expect((await start({}, other).describe()).model_sha256).not.toBe(one.model_sha256);
  });
});

describe("times", () => {
  const [end, first] = [100, 200];

  test("pieces lie between their times, and never beyond the audio", () => {
    const tokens = [200, 5, 6, 250, 250, 7, 300];
    expect(timedPieces(tokens, first, end, 1.5)).toEqual([
      { start_s: 0, end_s: 1, tokens: [5, 6] },
      { start_s: 1, end_s: 1.5, tokens: [7] },
    ]);
  });

  test("a piece without an end lasts as long as the audio; one without text is none", () => {
    expect(timedPieces([210, 5], first, end, 3)).toEqual([{ start_s: 0.2, end_s: 3, tokens: [5] }]);
    expect(timedPieces([200, 250], first, end, 3)).toEqual([]);
    expect(timedPieces([], first, end, 3)).toEqual([]);
  });

  test("words share their segment's time by their letters", () => {
    expect(spreadWords("Press one, now.", "en", 10, 11.3)).toEqual([
      { word: "Press", start_s: 10, end_s: 10.5 },
      { word: "one,", start_s: 10.5, end_s: 10.9 },
      { word: "now.", start_s: 10.9, end_s: 11.3 },
    ]);
  });

  test("languages without spaces have words too", () => {
    const words = spreadWords("今日は天気です。", "ja", 0, 2);
    expect(words.length).toBeGreaterThan(1);
    expect(words.map(({ word }) => word).join("")).toBe("今日は天気です。");
    expect(words.at(-1)!.end_s).toBe(2);
  });
});
