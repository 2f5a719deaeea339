import { mkdir, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { SpeechSegment } from "../../../shared/contracts/analysis-result.ts";
import { createInference } from "../../../regions/speech/inference/create-inference.ts";
import { loadManifest } from "../../../regions/speech/models/load-manifest.ts";
import { createEngines } from "../../../regions/speech/transcription/choose-engine.ts";
import type {
  EngineOptions,
  TranscriptionEngines,
  TranscriptRequest,
} from "../../../regions/speech/transcription/choose-engine.ts";
import { createTranscriber } from "../../../regions/speech/transcription/create-transcriber.ts";
import { planUtterances } from "../../../regions/speech/transcription/plan-utterances.ts";
import { findPocketsphinx } from "../../../regions/speech/transcription/pocketsphinx/find-pocketsphinx.ts";
import type { TranscriptionEngine } from "../../../regions/speech/transcription/transcription-engine.ts";
import { createWhisper } from "../../../regions/speech/transcription/whisper/create-whisper.ts";
import { blocksOf, makeFolder } from "./fixtures.ts";
import { only, openRecording } from "./transcribers.ts";
import { installTinyWhisper, readPrompt, readReference, toFloat } from "./whisper-fixture.ts";

const RATE = 16_000;
const names = Object.keys((await readReference()).recordings);
const threadEntry = new URL(
  "../../../regions/speech/transcription/whisper/whisper-thread.ts",
  import.meta.url,
);
const quick = { temperatures: [0], maxTokens: 12 };

let folder: Awaited<ReturnType<typeof makeFolder>>;
let tiny: Awaited<ReturnType<typeof installTinyWhisper>>;
beforeAll(async () => {
  folder = await makeFolder();
  tiny = await installTinyWhisper(folder.path(""));
});
afterAll(() => folder.remove());

const opened: TranscriptionEngines[] = [];
afterEach(() => Promise.all(opened.splice(0).map((engines) => engines.close())));

/** Engines of a machine that has the tiny Whisper, and no PocketSphinx unless `searchPath` leads to it. */
function engines(options: Partial<EngineOptions> = {}, where = tiny): TranscriptionEngines {
  const manifest = loadManifest(where.manifest, where.models);
  const own = createEngines({ manifest, searchPath: "", whisper: quick, ...options });
  opened.push(own);
  return own;
}

/** A machine of its own, whose model may be changed. */
async function another(more: Parameters<typeof installTinyWhisper>[1] = {}) {
  const own = folder.path(`machine${Math.random()}`);
  await mkdir(own);
  return installTinyWhisper(own, more);
}

async function chosen(own: TranscriptionEngines, request: TranscriptRequest = {}) {
  const engine = await own.choose(request);
  return "status" in engine ? engine : engine.describe();
}

const sphinx = findPocketsphinx({ searchPath: process.env["PATH"] ?? "" });
const tinyName = { name: "whisper-tiny-random", version: "1" };

describe("the engine of a transcript", () => {
  test("is a Whisper that is installed, asked for by nothing, by OpenAI's names or by its own", async () => {
    const own = engines({ searchPath: process.env["PATH"] ?? "" });
    const [one, ...others] = await Promise.all(
      [undefined, "whisper-1", "gpt-4o-transcribe", "whisper-tiny-random"].map((model) =>
        own.choose({ model, language: "de" }),
      ),
    );
    expect(await chosen(own)).toMatchObject(tinyName);
    for (const other of others) expect(other).toBe(one);
  });

  test("is one that was installed while the worker runs", async () => {
    const where = await another();
    await rm(where.installed, { recursive: true });
    const own = engines({}, where);
    expect(await chosen(own)).toMatchObject({ status: "unavailable" });
    await installTinyWhisper(join(where.models, ".."));
    expect(await chosen(own)).toMatchObject(tinyName);
  });

  test("is PocketSphinx for want of another, or when it is asked for", async () => {
    const where = await another();
    const searchPath = process.env["PATH"] ?? "";
    const named = { model: "pocketsphinx-en-us" };
    if ("status" in sphinx) {
      await expect(chosen(engines({ searchPath }), named)).rejects.toMatchObject({
        code: "model_unavailable",
        message: expect.stringContaining("apt-get install pocketsphinx"),
      });
      return;
    }
    expect(await chosen(engines({ searchPath }), named)).toMatchObject({
      name: "pocketsphinx-en-us",
    });
    await rm(where.installed, { recursive: true });
    const own = engines({ searchPath }, where);
    expect(await chosen(own)).toMatchObject({ name: "pocketsphinx-en-us" });
    await expect(own.choose({ language: "de" })).rejects.toMatchObject({
      code: "language_unsupported",
      message: "What is installed here does not know the language de, but en.",
    });
  });

  test("is none where nothing is installed, with the command that changes that", async () => {
    const where = await another();
    await rm(where.installed, { recursive: true });
    expect(await chosen(engines({}, where), { model: "whisper-1" })).toEqual({
      status: "unavailable",
      reason: "No engine for transcripts is installed.",
      install: "apt-get install pocketsphinx pocketsphinx-en-us",
    });
  });

  test("is refused by a name that is not here, with what would bring it", async () => {
    const own = engines();
    await expect(own.choose({ model: "whisper-small" })).rejects.toMatchObject({
      code: "model_unavailable",
      message:
        "The model whisper-small is not installed. To install it: npm run models -- pull whisper-small",
    });
    await expect(own.choose({ model: "whisper-99" })).rejects.toMatchObject({
      code: "model_unavailable",
      message: expect.stringMatching(
        /no model whisper-99, but whisper-tiny-random, .*whisper-base/,
      ),
    });
    await expect(own.choose({ model: "silero-vad" })).rejects.toMatchObject({
      code: "model_unavailable",
    });
  });

  test("is refused for a language that it does not know", async () => {
    await expect(engines().choose({ language: "tlh" })).rejects.toMatchObject({
      code: "language_unsupported",
      message: expect.stringContaining("de, "),
    });
  });

  test("is not a model that was cut short, nor one beyond the memory budget, and somebody is told", async () => {
    const short = await another();
    await truncate(join(short.installed, "onnx/encoder_model.onnx"), 1000);
    const large = await another({ memory_mb: 5000 });
    for (const [where, reason] of [
      [short, /is damaged: onnx\/encoder_model.onnx has 1000 bytes/],
      [large, /takes 5000 MB, more than the 4096 MB/],
    ] as const) {
      const told: string[] = [];
      const own = engines({ budgetMb: 4096, onPassedOver: (why) => told.push(why) }, where);
      expect(await chosen(own)).toMatchObject({
        status: "unavailable",
        reason: expect.stringMatching(reason),
      });
      await chosen(own);
      expect(told).toEqual([expect.stringMatching(reason)]);
      await expect(own.choose({ model: "whisper-tiny-random" })).rejects.toMatchObject({
        code: "model_unavailable",
        message: expect.stringMatching(reason),
      });
    }
  });
});

/** A prompt at each of some times, and where it is heard. */
async function promptsAt(...at: [name: string, at_s: number][]) {
  const prompts = await Promise.all(
    at.map(async ([name, at_s]) => ({ samples: toFloat(await readPrompt(name)), at_s })),
  );
  const speech: SpeechSegment[] = prompts.map(({ samples, at_s }) => ({
    start_s: at_s,
    end_s: at_s + samples.length / RATE,
  }));
  const whole = new Float32Array((speech.at(-1)!.end_s + 1) * RATE);
  for (const { samples, at_s } of prompts) whole.set(samples, at_s * RATE);
  return { samples: whole, speech };
}

type Spoken = Awaited<ReturnType<typeof promptsAt>>;

/** The transcripts of recordings that are transcribed at the same time, and the sizes of the batches. */
async function transcribe(recordings: Spoken[], request: TranscriptRequest = { language: "en" }) {
  const batches: number[] = [];
  const transcriber = createTranscriber({
    engines: engines({ whisper: { ...quick, onBatch: (size) => batches.push(size) } }),
    maxAtOnce: 4,
    folder: folder.path(""),
  });
  const signal = new AbortController().signal;
  try {
    const open = await Promise.all(
      recordings.map(async ({ samples, speech }) => {
        const recording = await openRecording(transcriber, { ...request, signal });
        for (const block of blocksOf(samples)) await recording.push(block);
        return { recording, speech };
      }),
    );
    const done = await Promise.all(open.map(({ recording, speech }) => recording.finish(speech)));
    return { transcripts: done.map(({ transcript }) => transcript), batches };
  } finally {
    await transcriber.close();
  }
}

/** Recordings that come while the model is at another: the thread begins when all of them have been asked for. */
async function transcribeBehind(first: Spoken, recordings: Spoken[]) {
  const gate = new SharedArrayBuffer(4);
  const wait = `
    const { workerData } = require("node:worker_threads");
    Atomics.wait(new Int32Array(workerData.gate), 0, 0);
    import(workerData.entry);
  `;
  const begun = Promise.withResolvers<void>();
  const batches: number[] = [];
  const own = engines({
    whisper: {
      ...quick,
      onBatch: (size) => {
        batches.push(size);
        begun.resolve();
      },
      startThread: (data) =>
        new Worker(wait, { eval: true, workerData: { ...data, gate, entry: threadEntry.href } }),
    },
  });
  const engine = await own.choose({});
  if ("status" in engine) throw new Error(engine.reason);
  const asked = Promise.withResolvers<void>();
  let calls = 0;
  const counted: TranscriptionEngine = {
    ...engine,
    transcribe(...args) {
      calls += 1;
      if (calls === 1 + recordings.length) asked.resolve();
      return engine.transcribe(...args);
    },
  };
  const transcriber = createTranscriber({
    engines: only(counted),
    maxAtOnce: 4,
    folder: folder.path(""),
  });
  const hear = async ({ samples, speech }: Spoken) => {
    const signal = new AbortController().signal;
    const recording = await openRecording(transcriber, { language: "en", signal });
    for (const block of blocksOf(samples)) await recording.push(block);
    return (await recording.finish(speech)).transcript;
  };
  try {
    const before = hear(first);
    await begun.promise;
    const behind = Promise.all(recordings.map(hear));
    await asked.promise;
    // What was asked for is in the queue by now.
    await new Promise(setImmediate);
    Atomics.store(new Int32Array(gate), 0, 1);
    Atomics.notify(new Int32Array(gate), 0);
    await before;
    return { transcripts: await behind, batches };
  } finally {
    await transcriber.close();
  }
}

const said = ({ segments }: { segments: { text: string }[] }) => segments.map(({ text }) => text);

describe("recordings that a worker transcribes with Whisper", () => {
  test("share a batch, and each says what it says alone", async () => {
    const recordings = [await promptsAt([names[0]!, 1]), await promptsAt([names[1]!, 2])];
    const { transcripts, batches } = await transcribeBehind(
      await promptsAt([names[2]!, 1]),
      recordings,
    );
    expect(batches).toEqual([1, 2]);
    for (const [i, recording] of recordings.entries()) {
      const alone = await transcribe([recording]);
      expect(alone.batches).toEqual([1]);
      expect(said(transcripts[i]!)).toEqual(said(alone.transcripts[0]!));
      expect(transcripts[i]!.words).toEqual(alone.transcripts[0]!.words);
      expect(transcripts[i]!.segments[0]!.average_logprob).toBeLessThan(0);
      expect(transcripts[i]!.text).not.toBe("");
    }
    expect(said(transcripts[0]!)).not.toEqual(said(transcripts[1]!));
  });

  test("have true times to the end, minutes after the beginning", async () => {
    const early = await promptsAt([names[0]!, 1]);
    const late = await promptsAt([names[1]!, 1], [names[0]!, 301]);
    const { transcripts } = await transcribe([early, late]);
    const [first, second] = transcripts as [(typeof transcripts)[0], (typeof transcripts)[0]];
    const again = second.segments.filter(({ start_s }) => start_s > 300);
    expect(again.length).toBeGreaterThan(0);
    expect(again.map(({ text }) => text)).toEqual(said(first));
    for (const [i, { start_s, end_s }] of again.entries()) {
      expect(start_s - 300).toBeCloseTo(first.segments[i]!.start_s, 6);
      expect(end_s - 300).toBeCloseTo(first.segments[i]!.end_s, 6);
    }
  });

  test("are of the language in which most was said, unless one was asked for", async () => {
    const one = await promptsAt([names[0]!, 1]);
    const { languages } = (await readReference()).recordings[names[0]!]!;
    const likeliest = Object.entries(languages).toSorted(([, a], [, b]) => b - a)[0]![0];
    expect((await transcribe([one], {})).transcripts[0]).toMatchObject({ language: likeliest });
    expect((await transcribe([one], { language: "de" })).transcripts[0]).toMatchObject({
      language: "de",
      quality: "full",
      word_times: "estimated",
    });
  });

  test("have no text, and load nothing, where nobody speaks", async () => {
    const silence: Spoken = { samples: new Float32Array(40 * RATE), speech: [] };
    const { transcripts, batches } = await transcribe([silence], {});
    expect(transcripts[0]).toMatchObject({ text: "", words: [], segments: [], language: "und" });
    expect(batches).toEqual([]);
  });
});

describe("utterances for Whisper", () => {
  const { utterances: options } = createWhisper({ entry: tinyName, files: new Map() });
  const quietest = (fromS: number, toS: number) => (fromS + toS) / 2;

  test("leave out no speech, however long, and fit into a window of 30 s", () => {
    const pieces = fc.array(
      fc.tuple(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 9000 })),
    );
    fc.assert(
      fc.property(pieces, (lengths) => {
        let at = 0;
        const speech = lengths.map(([pause, length]) => {
          const start_s = (at + pause) / 100;
          at += pause + length;
          return { start_s, end_s: at / 100 };
        });
        const made = planUtterances(speech, at / 100 + 1, quietest, options);
        for (const [i, { start_s, end_s }] of made.entries()) {
          expect(end_s - start_s).toBeLessThanOrEqual(29.5 + 1e-9);
          expect(start_s).toBeGreaterThanOrEqual(made[i - 1]?.end_s ?? 0);
        }
        const heard = (start_s: number, end_s: number) =>
          made.reduce(
            (sum, own) =>
              sum + Math.max(0, Math.min(end_s, own.end_s) - Math.max(start_s, own.start_s)),
            0,
          );
        for (const { start_s, end_s } of speech) {
          // Cuts are at hundredths of a second.
          expect(heard(start_s, end_s)).toBeCloseTo(end_s - start_s, 1);
        }
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  test("go on over a breath of up to two seconds", () => {
    const plan = (pause_s: number) =>
      planUtterances(
        [
          { start_s: 1, end_s: 5 },
          { start_s: 5 + pause_s, end_s: 12 },
        ],
        20,
        quietest,
        options,
      );
    expect(plan(1.9)).toEqual([{ start_s: 0.75, end_s: 12.25 }]);
    expect(plan(2.1)).toHaveLength(2);
  });
});

describe("the memory of models", () => {
  test("is shared with all others: Whisper makes room when another needs it, and comes back", async () => {
    const unloaded: string[] = [];
    const inference = createInference({ budgetMb: 25, onUnload: (name) => unloaded.push(name) });
    const own = engines({ memory: inference });
    const transcriber = createTranscriber({ engines: own, folder: folder.path("") });
    const { samples, speech } = await promptsAt([names[0]!, 1]);
    const signal = new AbortController().signal;
    const hear = async () => {
      const recording = await openRecording(transcriber, { signal, language: "en" });
      for (const block of blocksOf(samples)) await recording.push(block);
      return (await recording.finish(speech)).transcript.text;
    };
    const first = await hear();
    expect(unloaded).toEqual([]);
    // Whisper takes 10 of 25 MB.
    const room = { key: "other", name: "other", memoryMb: 20 };
    const given: string[] = [];
    const letGo = await inference.hold(room, async () => void given.push("back"), signal);
    expect(unloaded).toEqual(["whisper-tiny-random"]);

    // There is no room while the other is used; whoever does not want to wait any more need not.
    const impatient = new AbortController();
    const waiting = inference.hold(
      { key: "third", name: "third", memoryMb: 10 },
      () => Promise.resolve(),
      impatient.signal,
    );
    impatient.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    const second = hear();
    expect(given).toEqual([]);
    letGo();
    expect(await second).toBe(first);
    expect(given).toEqual(["back"]);
    await Promise.all([transcriber.close(), inference.close()]);
  });
});
